import type { FormKit } from "../html/forms.ts";
import { toNotice } from "../html/frame.ts";
import { type Html, html } from "../html/html.ts";
import { toPath } from "../http/redirect.ts";
import type { Page } from "../lib/page-token.ts";
import type { Membership } from "../organizations/organization.ts";
import { longestTokenTitle, type PersonalToken } from "../personal-tokens/personal-token.ts";
import { type Role, roles } from "../principals/principal.ts";
import { toSignInAgain } from "./address-view.ts";
import { roleLabels, toBackLink, toOrganizationLabel, toPager } from "./organizations-view.ts";
import { toAgoText, toDateText, toExactText } from "./texts.ts";
import { toTime } from "./time.ts";

/** Paths of the pages about personal access tokens and of the forms on them. */
export const personalTokenPaths = {
  list: "/account/tokens",
  create: "/account/tokens/new",
  remove: "/account/tokens/delete",
} as const;

/** The way to them, on the page of one's account. */
export function toOwnTokens(): Html {
  return html`<section class="card" aria-labelledby="tokens">
<h2 id="tokens">Personal access tokens</h2>
<p class="about">By them your own scripts and tools act as you, in one organization each.</p>
<div class="row"><a class="button" href="${personalTokenPaths.list}">Your tokens</a></div>
</section>`;
}

/** What the list shows. */
export interface PersonalTokensView {
  readonly forms: FormKit;
  readonly tokens: Page<PersonalToken>;
  /** Where the page of tokens begins; empty for the first. */
  readonly after: string;
  /** Where the tokens may act. */
  readonly memberships: readonly Membership[];
  readonly now: Date;
  readonly problem?: string | undefined;
  readonly done?: string | undefined;
}

/** All tokens of a person. */
export function toPersonalTokensBody(view: PersonalTokensView): Html {
  const { tokens, after } = view;
  return html`${toBackLink("/account", "Your account")}
<h1>Personal access tokens</h1>
<p class="lead">A token may do what its role allows, and never more than you may at that moment.</p>
${toNotice(view.problem)}${toNotice(view.done, "done")}
<section class="card" aria-label="Tokens">
${
  tokens.items.length === 0
    ? html`<p class="about">${after === "" ? "You have none." : "There are no more."}</p>`
    : html`<ul class="items">
${tokens.items.map((token) => toItem(view, token))}</ul>`
}
${toPager((next) => toPath(personalTokenPaths.list, { after: next }), after, tokens.nextPageToken)}
</section>
<div class="row"><a class="button" href="${personalTokenPaths.create}">New token</a></div>`;
}

function toItem({ forms, memberships, now }: PersonalTokensView, token: PersonalToken): Html {
  const { id, orgId, title, scope, createdAt, lastUsedAt, expiresAt } = token;
  const there = memberships.find(({ organization }) => organization.id === orgId);
  const { remove } = personalTokenPaths;
  return html`<li>
<div class="what">
<p class="name"><bdi>${title}</bdi> <span class="badge">${scope.role === undefined ? "Projects only" : roleLabels[scope.role]}</span></p>
<p class="facts"><span><bdi>${there === undefined ? orgId : toOrganizationLabel(there.organization)}</bdi></span> <span>Made ${toTime(createdAt, toDateText(createdAt))}</span> <span>${lastUsedAt === undefined ? "Not used yet" : html`Used ${toTime(lastUsedAt, toAgoText(lastUsedAt, now))}`}</span> <span>${expiresAt <= now ? "Expired" : "Ends"} ${toTime(expiresAt, toDateText(expiresAt))}</span></p>
</div>
<div class="actions">
<details name="act"><summary aria-label="Delete ${title}">Delete</summary>
<form method="post" action="${remove}" class="inline">
${forms.hidden(remove, { id })}
<p>Whatever uses it is refused from then on.</p>
<button class="small danger" aria-label="Delete it: ${title}">Delete it</button>
</form></details>
</div>
</li>
`;
}

/** What is asked of a new token, as it was typed and chosen. */
export interface PersonalTokenDraft {
  readonly title: string;
  readonly orgId: string;
  readonly role: Role;
  readonly validitySeconds: number;
}

/** What the form for a new token shows. */
export interface NewPersonalTokenView {
  readonly forms: FormKit;
  /** Whether the person's address is proven: nobody else makes one. */
  readonly isProven: boolean;
  /** Whether the session is young enough to make one. */
  readonly isRecent: boolean;
  /** Where a token may act. */
  readonly memberships: readonly Membership[];
  /** How long it may live, the shortest first. */
  readonly validities: readonly number[];
  readonly draft: PersonalTokenDraft;
  readonly problem?: string | undefined;
}

/** The form for a new token, or why there is none. */
export function toNewPersonalTokenBody(view: NewPersonalTokenView): Html {
  return html`${toBackLink(personalTokenPaths.list, "Personal access tokens")}
<section class="card">
<h1>New token</h1>
${toFormOrWhyNot(view)}
</section>`;
}

function toFormOrWhyNot(view: NewPersonalTokenView): Html {
  const { isProven, isRecent, memberships } = view;
  if (!isProven) {
    return html`<p>Confirm your address first: only then can you make a token.</p>
<p><a class="button primary" href="/account">To your account</a></p>`;
  }
  if (memberships.length === 0) {
    return html`<p>A token acts in an organization, and you are a member of none that is enabled.</p>
<p><a class="button primary" href="/account">To your account</a></p>`;
  }
  return isRecent ? toForm(view) : toSignInAgain("To make a token");
}

function toForm({ forms, memberships, validities, draft, problem }: NewPersonalTokenView): Html {
  const { create } = personalTokenPaths;
  return html`${toNotice(problem)}
<form method="post" action="${create}">
${forms.hidden(create)}
<label for="title">What it is for</label>
<input id="title" name="title" dir="auto" value="${draft.title}" maxlength="${longestTokenTitle}" required autocomplete="off"${problem !== undefined && html` autofocus`}>
<label for="org">Organization, and what you are in it</label>
<select id="org" name="org">
${memberships.map(({ organization, role }) => toOption(organization.id, `${toOrganizationLabel(organization)} (${roleLabels[role].toLowerCase()})`, draft.orgId))}
</select>
<label for="role">Role of the token</label>
<select id="role" name="role" aria-describedby="role-hint">
${toRolesOf(memberships).map((role) => toOption(role, roleLabels[role], draft.role))}
</select>
<p class="hint" id="role-hint">At most your own. Viewers see, managers also change what is in it. It sees the projects that you see.</p>
<label for="validity">Ends after</label>
<select id="validity" name="validity">
${validities.map((seconds) => toOption(String(seconds), toLengthText(seconds), String(draft.validitySeconds)))}
</select>
<button class="primary">Make the token</button>
</form>`;
}

function toOption(value: string, label: string, chosen: string): Html {
  return html`<option value="${value}"${value === chosen && html` selected`}>${label}</option>`;
}

/** Those that somebody may give in one of the organizations at least. */
function toRolesOf(memberships: readonly Membership[]): readonly Role[] {
  const highest = Math.max(...memberships.map(({ role }) => roles.indexOf(role)));
  return roles.slice(0, highest + 1);
}

/** Whole days, or hours where it is less than one. */
function toLengthText(seconds: number): string {
  const days = Math.floor(seconds / 86_400);
  const [count, unit] = days > 0 ? [days, "day"] : [Math.floor(seconds / 3600), "hour"];
  return count === 1 ? `1 ${unit}` : `${count} ${unit}s`;
}

/** The one page that shows a token's secret. */
export function toMadeTokenBody(
  { title, expiresAt }: Pick<PersonalToken, "title" | "expiresAt">,
  secret: string,
): Html {
  return html`<section class="card">
<h1>Your new token</h1>
<p class="lead"><bdi>${title}</bdi> works until ${toTime(expiresAt, toExactText(expiresAt))}.</p>
${toNotice("Copy it now: it is shown this once, and nobody can read it again.", "done")}
<p class="secret"><code>${secret}</code></p>
<p class="hint">Programs send it as <code>Authorization: Bearer</code>. Keep it as you would a password.</p>
<p><a class="button primary" href="${personalTokenPaths.list}">I have copied it</a></p>
</section>`;
}
