import type { FormKit } from "../html/forms.ts";
import { toNotice } from "../html/frame.ts";
import { type Html, html } from "../html/html.ts";
import { toPath } from "../http/redirect.ts";
import type { Page } from "../lib/page-token.ts";
import { toShownName } from "../lib/shown-name.ts";
import { type Invitation, stateOf } from "../organizations/invitation.ts";
import type { Standing } from "../organizations/member-service.ts";
import type { Project } from "../organizations/organization.ts";
import type { Role } from "../principals/principal.ts";
import { toRoleField } from "./organization-view.ts";
import {
  organizationPaths,
  roleLabels,
  toBackLink,
  toOrganizationLabel,
  toOrganizationPath,
  toPager,
} from "./organizations-view.ts";
import { toAgoText, toDateText } from "./texts.ts";
import { toTime } from "./time.ts";

/** What the form to invite by holds, as typed. */
export interface InvitationDraft {
  /** Separated by commas. */
  readonly emails: string;
  readonly role: Role;
  /** Ids of projects. */
  readonly projects: readonly string[];
}

/** What the page of an organization's invitations shows. */
export interface InvitationsView {
  readonly forms: FormKit;
  readonly standing: Standing;
  readonly invitations: Page<Invitation>;
  /** Where the page of invitations begins; empty for the first. */
  readonly after: string;
  /** To choose from. */
  readonly projects: readonly Project[];
  readonly draft: InvitationDraft;
  /** What is wrong with the draft. */
  readonly draftProblem?: string | undefined;
  readonly now: Date;
  readonly problem?: string | undefined;
  readonly done?: string | undefined;
}

/** The invitations of an organization, to its managers and owners; owners invite. */
export function toInvitationsBody(view: InvitationsView): Html {
  const { standing, problem, done } = view;
  const { organization } = standing;
  return html`${toBackLink(toOrganizationPath(organization.id), html`<bdi>${toOrganizationLabel(organization)}</bdi>`)}
<h1>Invitations</h1>
${toNotice(problem)}${toNotice(done, "done")}
${standing.role === "owner" && toInviteForm(view)}
${toPending(view)}`;
}

function toInviteForm({ forms, standing, draft, draftProblem, projects }: InvitationsView): Html {
  const { id } = standing.organization;
  const { invite } = organizationPaths;
  return html`<section class="card" aria-labelledby="invite">
<h2 id="invite">Invite people</h2>
<p class="about">They are sent a mail, and become members once they accept.</p>
${toNotice(draftProblem)}
<form method="post" action="${invite}" class="inline">
${forms.hidden(invite, { id })}
<label for="emails">E-mail addresses</label>
<input id="emails" name="emails" type="email" multiple inputmode="email" autocomplete="off" autocapitalize="none" spellcheck="false" required value="${draft.emails}" aria-describedby="emails-hint"${draftProblem !== undefined && html` autofocus`}>
<p class="hint" id="emails-hint">Up to ten, with commas between them.</p>
${toRoleField("role", draft.role)}
${projects.length > 0 && toProjectFields(projects, draft.projects)}
<button class="small primary">Send the invitation</button>
</form>
</section>`;
}

function toProjectFields(projects: readonly Project[], chosen: readonly string[]): Html {
  return html`<fieldset>
<legend>Projects they see from the start</legend>
${projects.map(
  ({
    id,
    name,
    title,
  }) => html`<label class="choice"><input type="checkbox" name="project" value="${id}"${chosen.includes(id) && html` checked`}> <bdi>${toShownName(title) || name}</bdi></label>
`,
)}</fieldset>`;
}

function toPending(view: InvitationsView): Html {
  const { invitations, after, standing } = view;
  const { id } = standing.organization;
  return html`<section class="card" aria-labelledby="pending">
<h2 id="pending">Not answered yet</h2>
${
  invitations.items.length === 0
    ? html`<p class="about">${after === "" ? "Nobody is invited at the moment." : "There are no more."}</p>`
    : html`<ul class="items">
${invitations.items.map((invitation) => toInvitation(view, invitation))}</ul>`
}
${toPager((token) => toPath(organizationPaths.invitations, { id, after: token }), after, invitations.nextPageToken)}
</section>`;
}

function toInvitation({ forms, standing, now }: InvitationsView, invitation: Invitation): Html {
  const { id, email, role, invitedBy, sentAt, expiresAt } = invitation;
  const isExpired = stateOf(invitation, now) === "expired";
  const { renew, withdraw } = organizationPaths;
  const fields = { id: standing.organization.id, invitation: id };
  return html`<li>
<div class="what">
<p class="name"><span class="address">${email}</span> <span class="badge">${roleLabels[role]}</span></p>
<p class="facts"><span>Invited by <bdi class="address">${toShownName(invitedBy.name)}</bdi></span> <span>${sentAt === undefined ? "Mail on its way" : html`Mailed ${toTime(sentAt, toAgoText(sentAt, now))}`}</span> <span>${isExpired ? "Expired on" : "Works until"} ${toTime(expiresAt, toDateText(expiresAt))}</span></p>
</div>
${
  standing.role === "owner" &&
  html`<div class="actions">
<form method="post" action="${renew}">${forms.hidden(renew, fields)}<button class="small" aria-label="Send again to ${email}">Send again</button></form>
<details name="act"><summary aria-label="Withdraw ${email}">Withdraw</summary>
<form method="post" action="${withdraw}" class="inline">
${forms.hidden(withdraw, fields)}
<p>The link in the mail will not work any more.</p>
<button class="small danger" aria-label="Withdraw it: ${email}">Withdraw it</button>
</form></details>
</div>`
}
</li>
`;
}
