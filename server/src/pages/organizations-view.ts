import type { FormKit } from "../html/forms.ts";
import { toNotice } from "../html/frame.ts";
import { type Html, html } from "../html/html.ts";
import { toPath } from "../http/redirect.ts";
import type { Page } from "../lib/page-token.ts";
import { toShownName } from "../lib/shown-name.ts";
import { longestTitle } from "../lib/title.ts";
import type { Membership, Organization } from "../organizations/organization.ts";
import { organizationNamePattern } from "../organizations/organization.ts";
import type { Role } from "../principals/principal.ts";
import { toDateText } from "./texts.ts";
import { toTime } from "./time.ts";

/** Paths of the pages about organizations and of the forms on them; one is named by `id` in the query. */
export const organizationPaths = {
  list: "/account/organizations",
  create: "/account/organizations/new",
  organization: "/account/organization",
  setRole: "/account/organization/role",
  removeMember: "/account/organization/remove",
  leave: "/account/organization/leave",
  invitations: "/account/organization/invitations",
  invite: "/account/organization/invite",
  renew: "/account/organization/invitations/renew",
  withdraw: "/account/organization/invitations/withdraw",
} as const;

/** What people call each role. */
export const roleLabels: Readonly<Record<Role, string>> = {
  viewer: "Viewer",
  manager: "Manager",
  owner: "Owner",
};

/** What an organization is called: its title, or its name where it has none that can be shown. */
export function toOrganizationLabel({ title, name }: Pick<Organization, "title" | "name">): string {
  return toShownName(title) || name;
}

/** Where the page of an organization is. */
export function toOrganizationPath(id: string, about: Readonly<Record<string, string>> = {}): string {
  return toPath(organizationPaths.organization, { id, ...about });
}

/** A role in a sentence, as in “You are an owner”. */
export function toArticled(role: Role): Html {
  return html`${role === "owner" ? "an" : "a"} <strong>${roleLabels[role].toLowerCase()}</strong>`;
}

/** The way back from a page below `/account`. */
export function toBackLink(href: string, label: string | Html): Html {
  return html`<p class="back"><a href="${href}">${label}</a></p>`;
}

/** The way to the rest of a list, and back to its beginning. */
export function toPager(path: (after: string) => string, after: string, nextPageToken: string): Html {
  return html`${
    (after !== "" || nextPageToken !== "") &&
    html`<nav class="row" aria-label="Pages">
${after !== "" && html`<a class="button" href="${path("")}">First page</a>`}
${nextPageToken !== "" && html`<a class="button" href="${path(nextPageToken)}">Next page</a>`}
</nav>`
  }`;
}

/** Organizations, with what the person is in each. */
export function toMembershipList(memberships: readonly Membership[]): Html {
  return html`<ul class="items">
${memberships.map(toMembership)}</ul>`;
}

function toMembership({ organization, role, createdAt }: Membership): Html {
  const { id, name, state } = organization;
  const label = toOrganizationLabel(organization);
  const isEnabled = state === "enabled";
  const path = toOrganizationPath(id);
  return html`<li>
<div class="what">
<p class="name">${isEnabled ? html`<a href="${path}"><bdi>${label}</bdi></a>` : html`<bdi>${label}</bdi>`} <span class="badge">${isEnabled ? roleLabels[role] : "Disabled"}</span></p>
<p class="facts"><span>${name}</span> <span>Member since ${toTime(createdAt, toDateText(createdAt))}</span></p>
</div>
</li>
`;
}

/** All organizations of a person. */
export function toOrganizationsBody(
  { items, nextPageToken }: Page<Membership>,
  after: string,
  mayCreate: boolean,
): Html {
  return html`${toBackLink("/account", "Your account")}
<h1>Your organizations</h1>
<section class="card" aria-label="Organizations">
${items.length === 0 ? html`<p class="about">${after === "" ? "You are a member of none." : "There are no more."}</p>` : toMembershipList(items)}
${toPager((token) => toPath(organizationPaths.list, { after: token }), after, nextPageToken)}
</section>
${mayCreate && html`<div class="row"><a class="button" href="${organizationPaths.create}">New organization</a></div>`}`;
}

/** What the form for a new organization shows. */
export interface NewOrganizationView {
  readonly forms: FormKit;
  /** Whether people may make organizations here. */
  readonly mayCreate: boolean;
  /** Whether the person's address is proven: nobody else makes one. */
  readonly isProven: boolean;
  /** As typed. */
  readonly name: string;
  readonly title: string;
  readonly problem?: string | undefined;
}

/** The form for a new organization. */
export function toNewOrganizationBody(view: NewOrganizationView): Html {
  const { mayCreate, isProven } = view;
  return html`${toBackLink("/account", "Your account")}
<section class="card">
<h1>New organization</h1>
${
  !mayCreate
    ? html`<p>Only whoever runs this site creates organizations here. Ask them for one.</p>`
    : !isProven
      ? html`<p>Confirm your address first: only then can you create an organization.</p>
<p><a class="button primary" href="/account">To your account</a></p>`
      : toNewOrganizationForm(view)
}
</section>`;
}

function toNewOrganizationForm({ forms, name, title, problem }: NewOrganizationView): Html {
  return html`<p class="lead">You will be its owner.</p>
${toNotice(problem)}
<form method="post" action="${organizationPaths.create}">
${forms.hidden(organizationPaths.create)}
<label for="title">What it is called</label>
<input id="title" name="title" dir="auto" value="${title}" maxlength="${longestTitle}" autocomplete="organization">
<label for="name">Short name</label>
<input id="name" name="name" value="${name}" pattern="${organizationNamePattern}" minlength="3" maxlength="63" required autocomplete="off" autocapitalize="none" spellcheck="false" aria-describedby="name-hint"${problem !== undefined && html` aria-invalid="true" autofocus`}>
<p class="hint" id="name-hint">3 to 63 lower-case letters, digits, - and _, beginning with a letter. Programs call it by this name, which no other has.</p>
<button class="primary">Create</button>
</form>`;
}
