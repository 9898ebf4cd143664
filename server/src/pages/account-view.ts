import type { GateSession } from "../gate/sessions/gate-session.ts";
import type { FormKit } from "../html/forms.ts";
import { toNotice } from "../html/frame.ts";
import { type Html, html } from "../html/html.ts";
import type { Page } from "../lib/page-token.ts";
import { toProviderLabel } from "../lib/well-known-providers.ts";
import type { Invitation } from "../organizations/invitation.ts";
import type { Membership } from "../organizations/organization.ts";
import type { Passkey } from "../passkeys/passkey.ts";
import { maxPasskeyName, maxPasskeys } from "../passkeys/passkey.ts";
import type { Session } from "../sessions/session.ts";
import type { Identity } from "../users/identity-store.ts";
import { toAddress } from "./address-view.ts";
import { toApps } from "./apps-view.ts";
import { toExport } from "./export-view.ts";
import { toOwnInvitations } from "./invitation-view.ts";
import { toLeave } from "./leave-view.ts";
import { loginPaths } from "./login-view.ts";
import { ownStrategies } from "./offers.ts";
import { organizationPaths, toMembershipList } from "./organizations-view.ts";
import { toOwnTokens } from "./personal-tokens-view.ts";
import { toAgoText, toDateText, toExactText } from "./texts.ts";
import { toTime } from "./time.ts";
import { toOwnTitle } from "./titles-view.ts";

/** Paths of the account page and of the forms on it. */
export const accountPaths = {
  account: "/account",
  signOut: "/account/sign-out",
  revokeSession: "/account/sessions/end",
  revokeOthers: "/account/sessions/end-others",
  revokeAll: "/account/sessions/end-all",
  renamePasskey: "/account/passkeys/rename",
  removePasskey: "/account/passkeys/remove",
  unlinkIdentity: "/account/identities/unlink",
} as const;

/** What the account page shows. */
export interface AccountView {
  readonly forms: FormKit;
  readonly email: string;
  /** What they are called; may be empty. */
  readonly title: string;
  /** Whether nobody has proven the address, and a code can be mailed to it. */
  readonly mayProve: boolean;
  /** Whether somebody has: it can be changed for another. */
  readonly mayChangeEmail: boolean;
  readonly currentSessionId: string;
  readonly sessions: readonly Session[];
  /** Apps behind the gate that those have let the person in at. */
  readonly apps: readonly GateSession[];
  /** Undefined where passkeys are not offered. */
  readonly passkeys: readonly Passkey[] | undefined;
  /** Whether the session is young enough to change what opens the account. */
  readonly isRecent: boolean;
  readonly identities: readonly Identity[];
  /** Those to the person's own address that can be accepted. */
  readonly invitations: readonly Invitation[];
  /** The first of them. */
  readonly memberships: Page<Membership>;
  readonly mayCreateOrganization: boolean;
  readonly now: Date;
  readonly problem?: string | undefined;
  readonly done?: string | undefined;
}

/** The account page. */
export function toAccountBody(view: AccountView): Html {
  return html`<h1>Your account</h1>
<p class="lead"><strong class="address">${view.email}</strong></p>
${toNotice(view.problem)}${toNotice(view.done, "done")}
${view.mayProve && toProve(view)}
${view.invitations.length > 0 && toOwnInvitations(view.invitations)}
${view.passkeys !== undefined && toPasskeys(view, view.passkeys)}
${toOrganizations(view)}
${toSessions(view)}
${view.apps.length > 0 && toApps(view)}
${view.identities.length > 0 && toIdentities(view)}
${view.memberships.items.length > 0 && toOwnTokens()}
${toOwnTitle(view)}
${view.mayChangeEmail && toAddress(view)}
${toExport(view.forms)}
${toLeave(view)}`;
}

/** Asks for a code in this very session, so that its answer keeps the account as it is. */
function toProve({ forms, email }: AccountView): Html {
  return html`<section class="card" aria-labelledby="prove">
<h2 id="prove">Confirm your address</h2>
<p class="about">Nobody has confirmed yet that <span class="address">${email}</span> is yours. Until you do, you cannot create organizations or credentials, and whoever confirms it elsewhere takes this account over.</p>
<div class="row">
<form method="post" action="${loginPaths.mail}">
${forms.hidden(loginPaths.mail, { email })}
<button class="primary" name="strategy" value="${ownStrategies.mailCode}">E-mail me a code</button>
</form>
</div>
</section>`;
}

/** The button beside the site's name. */
export function toSignOutForm(forms: FormKit): Html {
  return html`<form method="post" action="${accountPaths.signOut}">${forms.hidden(accountPaths.signOut)}<button class="small">Sign out</button></form>`;
}

function toPasskeys(view: AccountView, passkeys: readonly Passkey[]): Html {
  return html`<section class="card" aria-labelledby="passkeys">
<h2 id="passkeys">Passkeys</h2>
<p class="about">Sign in with your fingerprint, face or screen lock, without waiting for a mail.</p>
${
  passkeys.length > 0 &&
  html`<ul class="items">
${passkeys.map((passkey) => toPasskey(view, passkey))}</ul>`
}
${toAddPasskey(view, passkeys.length)}
</section>`;
}

function toPasskey({ forms, now }: AccountView, passkey: Passkey): Html {
  const { id, name, createdAt, lastUsedAt } = passkey;
  const field = `name-${id}`;
  return html`<li>
<div class="what">
<p class="name"><bdi>${name}</bdi></p>
<p class="facts"><span>Added ${toTime(createdAt, toDateText(createdAt))}</span> <span>${lastUsedAt === undefined ? "Not used yet" : html`Used ${toTime(lastUsedAt, toAgoText(lastUsedAt, now))}`}</span> <span>${toPlaceText(passkey)}</span></p>
</div>
<div class="actions">
<details name="act"><summary aria-label="Rename ${name}">Rename</summary>
<form method="post" action="${accountPaths.renamePasskey}" class="inline">
${forms.hidden(accountPaths.renamePasskey, { id })}
<label for="${field}">New name</label>
<input id="${field}" name="name" dir="auto" value="${name}" maxlength="${maxPasskeyName}" required autocomplete="off">
<button class="small primary">Save</button>
</form></details>
<details name="act"><summary aria-label="Remove ${name}">Remove</summary>
<form method="post" action="${accountPaths.removePasskey}" class="inline">
${forms.hidden(accountPaths.removePasskey, { id })}
<p>It will not sign you in any more.</p>
<button class="small danger" aria-label="Remove it: ${name}">Remove it</button>
</form></details>
</div>
</li>
`;
}

function toAddPasskey({ isRecent }: AccountView, count: number): Html {
  if (count >= maxPasskeys) {
    return html`<p class="hint">You have ${count} passkeys, which is as many as there may be. Remove one to add another.</p>`;
  }
  return html`<div class="passkey" data-passkey="register" hidden>
<button type="button"${!isRecent && html` hidden`}>Add a passkey</button>
<div class="again"${isRecent && html` hidden`}>
<p>To add a passkey, sign in again first: your last sign-in is more than ten minutes ago, and this makes sure that it is still you.</p>
<p><a class="button" href="${loginPaths.login}?again=1">Sign in again</a></p>
</div>
<p class="notice problem" role="alert" hidden></p>
</div>
<p class="hint" data-passkey="missing" hidden>Passkeys do not work here: they need a current browser, and https.</p>
<noscript><p class="hint">Adding a passkey needs JavaScript, which is switched off in this browser.</p></noscript>`;
}

function toOrganizations({ memberships, mayCreateOrganization }: AccountView): Html {
  const { items, nextPageToken } = memberships;
  return html`<section class="card" aria-labelledby="organizations">
<h2 id="organizations">Organizations</h2>
${items.length === 0 ? html`<p class="about">You are a member of none.</p>` : toMembershipList(items)}
${
  (nextPageToken !== "" || mayCreateOrganization) &&
  html`<div class="row">
${nextPageToken !== "" && html`<a class="button" href="${organizationPaths.list}">All your organizations</a>`}
${mayCreateOrganization && html`<a class="button" href="${organizationPaths.create}">New organization</a>`}
</div>`
}
</section>`;
}

function toSessions(view: AccountView): Html {
  const { forms, sessions, currentSessionId } = view;
  const current = sessions.filter(({ id }) => id === currentSessionId);
  const others = sessions.filter(({ id }) => id !== currentSessionId);
  return html`<section class="card" aria-labelledby="sessions">
<h2 id="sessions">Where you are signed in</h2>
<ul class="items">
${[...current, ...others].map((session) => toSession(view, session))}</ul>
<div class="row">
${
  others.length > 0 &&
  html`<form method="post" action="${accountPaths.revokeOthers}">${forms.hidden(accountPaths.revokeOthers)}<button>Sign out everywhere else</button></form>`
}
<form method="post" action="${accountPaths.revokeAll}">${forms.hidden(accountPaths.revokeAll)}<button class="danger">Sign out everywhere</button></form>
</div>
</section>`;
}

function toSession({ forms, currentSessionId, now }: AccountView, session: Session): Html {
  const { id, device, createdAt, updatedAt, expiresAt } = session;
  const isCurrent = id === currentSessionId;
  const name = [device.browser || "Unknown browser", device.operatingSystem].filter(Boolean).join(" on ");
  const place = [device.city, device.country].filter(Boolean).join(", ");
  return html`<li>
<div class="what">
<p class="name">${name}${isCurrent && html` <span class="badge">This browser</span>`}</p>
<p class="facts">${place !== "" && html`<span>${place}</span> `}<span>${device.ipAddress || "Unknown address"}</span> <span>${isCurrent ? "In use now" : html`Last used ${toTime(updatedAt, toAgoText(updatedAt, now))}`}</span> <span>Signed in ${toTime(createdAt, toAgoText(createdAt, now))}</span> <span>Ends ${toTime(expiresAt, toDateText(expiresAt))}</span></p>
</div>
${
  !isCurrent &&
  html`<form method="post" action="${accountPaths.revokeSession}" class="actions">${forms.hidden(accountPaths.revokeSession, { id })}<button class="small" aria-label="Sign out ${name}, signed in ${toExactText(createdAt)}">Sign out</button></form>`
}
</li>
`;
}

function toIdentities({ forms, identities }: AccountView): Html {
  return html`<section class="card" aria-labelledby="identities">
<h2 id="identities">Linked identities</h2>
<p class="about">Accounts elsewhere that sign you in here.</p>
<ul class="items">
${identities.map((identity) => toIdentity(forms, identity))}</ul>
</section>`;
}

function toIdentity(forms: FormKit, { strategy, email, issuer, subject, createdAt }: Identity): Html {
  const label = toProviderLabel(strategy);
  const called = email === "" ? label : `${label}, ${email}`;
  return html`<li>
<div class="what">
<p class="name">${label}</p>
<p class="facts">${email !== "" && html`<span class="address">${email}</span> `}<span class="address">${issuer}</span> <span>Linked ${toTime(createdAt, toDateText(createdAt))}</span></p>
</div>
<div class="actions">
<details name="act"><summary aria-label="Unlink ${called}">Unlink</summary>
<form method="post" action="${accountPaths.unlinkIdentity}" class="inline">
${forms.hidden(accountPaths.unlinkIdentity, { issuer, subject })}
<p>It will not sign you in here any more. Your account there stays as it is.</p>
<button class="small danger" aria-label="Unlink it: ${called}">Unlink it</button>
</form></details>
</div>
</li>
`;
}

function toPlaceText({ isSynced, isBackedUp }: Passkey): string {
  if (!isSynced) return "On one device";
  return isBackedUp ? "Synced between your devices" : "On one device, can be synced";
}
