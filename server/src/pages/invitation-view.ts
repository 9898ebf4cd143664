import type { FormKit } from "../html/forms.ts";
import { type Html, html } from "../html/html.ts";
import { toPath } from "../http/redirect.ts";
import { toShownName } from "../lib/shown-name.ts";
import type { Invitation } from "../organizations/invitation.ts";
import { type LoginView, loginPaths, toWaysIn } from "./login-view.ts";
import { ownStrategies } from "./offers.ts";
import { roleLabels, toArticled, toOrganizationLabel } from "./organizations-view.ts";
import { toExactText } from "./texts.ts";
import { toTime } from "./time.ts";

/** Paths of the page that a mailed invitation leads to, and of the forms on it. */
export const invitationPaths = {
  invitation: "/invitation",
  accept: "/invitation/accept",
  decline: "/invitation/decline",
} as const;

/** Invited to what, by whom, as what, until when. */
function toWhat({ organization, role, invitedBy, expiresAt }: Invitation): Html {
  const label = toOrganizationLabel(organization);
  return html`<h1>You are invited to <bdi>${label}</bdi></h1>
<p class="lead"><strong class="address"><bdi>${toShownName(invitedBy.name)}</bdi></strong> invites you to become ${toArticled(role)} of the organization <strong class="address">${organization.name}</strong>.</p>
<p class="hint">You can accept until ${toTime(expiresAt, toExactText(expiresAt))}.</p>`;
}

/** To somebody who is not signed in, or will be as somebody else: what it is, and the ways to sign in as who is invited. */
export function toInvitedBody(invitation: Invitation, ways: Omit<LoginView, "email">): Html {
  return html`<section class="card">
${toWhat(invitation)}
<p>Sign in to answer it: it is for <strong class="address">${invitation.email}</strong> alone.</p>
${toWaysIn({ ...ways, email: invitation.email })}
</section>`;
}

/** To whom it is for. */
export function toAnswerBody(invitation: Invitation, forms: FormKit): Html {
  const { id, orgId, email } = invitation;
  const { accept, decline } = invitationPaths;
  return html`<section class="card">
${toWhat(invitation)}
<p>You are signed in as <strong class="address">${email}</strong>. If you know neither the organization nor who invites you, decline.</p>
<form method="post" action="${accept}">
${forms.hidden(accept, { id, org: orgId })}
<button class="primary">Accept</button>
</form>
<form method="post" action="${decline}">
${forms.hidden(decline, { id })}
<button>Decline</button>
</form>
</section>`;
}

/** To somebody whose address is the right one, and not proven. */
export function toProveFirstBody(
  invitation: Invitation,
  { forms, mayProve, returnTo }: Omit<NoneForYouView, "email">,
): Html {
  const { email } = invitation;
  return html`<section class="card">
${toWhat(invitation)}
<p>Nobody has confirmed yet that <strong class="address">${email}</strong> is yours. Confirm it to answer the invitation.</p>
${mayProve && toProveForm(email, forms, returnTo)}
</section>`;
}

/** Asks for a code in this very session, so that its answer keeps the account as it is. */
function toProveForm(email: string, forms: FormKit, returnTo: string): Html {
  return html`<form method="post" action="${loginPaths.mail}">
${forms.hidden(loginPaths.mail, { email, return_to: returnTo })}
<button class="primary" name="strategy" value="${ownStrategies.mailCode}">E-mail me a code</button>
</form>`;
}

/** To somebody else: whose it is, and who they are. @param signInPath where to sign in as who is invited */
export function toSomebodyElsesBody(invitation: Invitation, email: string, signInPath: string): Html {
  return html`<section class="card">
<h1>This invitation is for somebody else</h1>
<p>It was sent to <strong class="address">${invitation.email}</strong>, and you are signed in as <strong class="address">${email}</strong>. Nothing has changed.</p>
<p><a class="button primary" href="${signInPath}"><span class="address">Sign in as ${invitation.email}</span></a></p>
<p><a class="button" href="/account"><span class="address">Stay signed in as ${email}</span></a></p>
</section>`;
}

/** What somebody sees who comes without the link, and to whose address there is no invitation. */
export interface NoneForYouView {
  readonly forms: FormKit;
  readonly email: string;
  /** Whether nobody has proven the address, and a code can be mailed to it: until then it has no invitations. */
  readonly mayProve: boolean;
  /** The page of the invitation. */
  readonly returnTo: string;
}

/** @see {@link NoneForYouView} */
export function toNoneForYouBody({ forms, email, mayProve, returnTo }: NoneForYouView): Html {
  const signInPath = toPath(loginPaths.login, { again: "1", return_to: returnTo });
  return html`<section class="card">
<h1>There is no invitation for you here</h1>
<p>You are signed in as <strong class="address">${email}</strong>. ${mayProve ? "Nobody has confirmed yet that this address is yours: if the invitation was sent to it, confirm it first." : "An invitation to that address may have been answered or withdrawn."}</p>
${mayProve && toProveForm(email, forms, returnTo)}
<p>If it was sent to another address, sign in as that.</p>
<p><a class="button" href="${signInPath}">Sign in as somebody else</a></p>
</section>`;
}

/** To whoever comes too late. */
export function toExpiredText({ organization, invitedBy }: Invitation) {
  return {
    title: "This invitation has expired",
    text: `Ask ${toShownName(invitedBy.name)} for a new one if you still want to join ${toOrganizationLabel(organization)}.`,
  };
}

/** The invitations of a person, on the page of their account. */
export function toOwnInvitations(invitations: readonly Invitation[]): Html {
  return html`<section class="card" aria-labelledby="invitations">
<h2 id="invitations">Invitations</h2>
<ul class="items">
${invitations.map(toOwnInvitation)}</ul>
</section>`;
}

function toOwnInvitation({ id, organization, role, invitedBy, expiresAt }: Invitation): Html {
  const label = toOrganizationLabel(organization);
  return html`<li>
<div class="what">
<p class="name"><bdi>${label}</bdi> <span class="badge">${roleLabels[role]}</span></p>
<p class="facts"><span>Invited by <bdi class="address">${toShownName(invitedBy.name)}</bdi></span> <span>Until ${toTime(expiresAt, toExactText(expiresAt))}</span></p>
</div>
<div class="actions"><a class="button small" href="${toPath(invitationPaths.invitation, { id })}" aria-label="Answer the invitation to ${label}">Answer</a></div>
</li>
`;
}
