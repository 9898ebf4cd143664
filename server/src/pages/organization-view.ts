import type { FormKit } from "../html/forms.ts";
import { toNotice } from "../html/frame.ts";
import { type Html, html } from "../html/html.ts";
import { toPath } from "../http/redirect.ts";
import type { Page } from "../lib/page-token.ts";
import { toShownName } from "../lib/shown-name.ts";
import type { Standing } from "../organizations/member-service.ts";
import type { Member } from "../organizations/organization.ts";
import { type Role, roles } from "../principals/principal.ts";
import {
  organizationPaths,
  roleLabels,
  toArticled,
  toBackLink,
  toOrganizationLabel,
  toPager,
} from "./organizations-view.ts";
import { toDateText } from "./texts.ts";
import { toTime } from "./time.ts";
import { toOrganizationTitle } from "./titles-view.ts";

/** What the page of an organization shows. */
export interface OrganizationView {
  readonly forms: FormKit;
  readonly standing: Standing;
  readonly members: Page<Member>;
  /** Where the page of members begins; empty for the first. */
  readonly after: string;
  readonly problem?: string | undefined;
  readonly done?: string | undefined;
}

/** An organization, as one who has a role in it sees it. */
export function toOrganizationBody(view: OrganizationView): Html {
  const { organization, role, member } = view.standing;
  return html`${toBackLink("/account", "Your account")}
<h1><bdi>${toOrganizationLabel(organization)}</bdi></h1>
<p class="lead">${organization.name} &middot; ${
    member === undefined
      ? html`You are no member, and act as <strong>${roleLabels[role].toLowerCase()}</strong>.`
      : html`You are ${toArticled(member.role)}.`
  }</p>
${toNotice(view.problem)}${toNotice(view.done, "done")}
${toMembers(view)}
${role !== "viewer" && toOrganizationTitle(view)}
${member !== undefined && toLeave(view)}`;
}

function toMembers(view: OrganizationView): Html {
  const { members, after, standing } = view;
  const { id } = standing.organization;
  const { role } = standing;
  return html`<section class="card" aria-labelledby="members">
<h2 id="members">Members</h2>
<ul class="items">
${members.items.map((member) => toMember(view, member))}</ul>
${toPager((token) => toPath(organizationPaths.organization, { id, after: token }), after, members.nextPageToken)}
${role !== "viewer" && html`<div class="row"><a class="button" href="${toPath(organizationPaths.invitations, { id })}">${role === "owner" ? "Invite people" : "Invitations"}</a></div>`}
</section>`;
}

function toMember(view: OrganizationView, member: Member): Html {
  const { standing } = view;
  const { userId, email, emailVerified, title, role, createdAt } = member;
  const called = toShownName(title);
  const isSelf = userId === standing.member?.userId;
  return html`<li>
<div class="what">
<p class="name">${called === "" ? html`<span class="address">${email}</span>` : html`<bdi>${called}</bdi>`} <span class="badge">${roleLabels[role]}</span></p>
<p class="facts">${isSelf && html`<span>This is you</span> `}${called !== "" && html`<span class="address">${email}</span> `}${!emailVerified && html`<span>Address not confirmed</span> `}<span>Since ${toTime(createdAt, toDateText(createdAt))}</span></p>
</div>
${standing.role === "owner" && toMemberActions(view, member, isSelf)}
</li>
`;
}

function toMemberActions({ forms, standing }: OrganizationView, member: Member, isSelf: boolean): Html {
  const { userId, email } = member;
  const { id } = standing.organization;
  const { setRole, removeMember } = organizationPaths;
  return html`<div class="actions">
<details name="act"><summary aria-label="Role of ${email}">Role</summary>
<form method="post" action="${setRole}" class="inline">
${forms.hidden(setRole, { id, user: userId })}
${toRoleField(`role-${userId}`, member.role)}
<button class="small primary">Save</button>
</form></details>
${
  !isSelf &&
  html`<details name="act"><summary aria-label="Remove ${email}">Remove</summary>
<form method="post" action="${removeMember}" class="inline">
${forms.hidden(removeMember, { id, user: userId })}
<p>They will be no member any more, and lose what they can see of its projects.</p>
<button class="small danger" aria-label="Remove them: ${email}">Remove them</button>
</form></details>`
}
</div>`;
}

/** Asks for a role; what each may do stands below. @param id of the field, as no other on the page has it */
export function toRoleField(id: string, chosen: Role): Html {
  return html`<label for="${id}">Role</label>
<select id="${id}" name="role" aria-describedby="${id}-hint">
${roles.map((role) => html`<option value="${role}"${role === chosen && html` selected`}>${roleLabels[role]}</option>`)}
</select>
<p class="hint" id="${id}-hint">Viewers see, managers also change what is in it, owners also say who is a member.</p>`;
}

function toLeave({ forms, standing }: OrganizationView): Html {
  const { id } = standing.organization;
  const { leave } = organizationPaths;
  return html`<section class="card" aria-labelledby="leave">
<h2 id="leave">Leave</h2>
<p class="about">You will be no member any more. Only an owner can let you in again.</p>
<div class="row">
<form method="post" action="${leave}">
${forms.hidden(leave, { id })}
<button class="danger">Leave this organization</button>
</form>
</div>
</section>`;
}
