/** What the owner of an account is told by mail when something about signing in to it has changed. */
import { toShownName } from "../lib/shown-name.ts";
import { toProviderLabel } from "../lib/well-known-providers.ts";
import { type MailTexts, renderNotice } from "./template.ts";

function toNotice(site: string, subject: string, ...body: string[]): MailTexts {
  return renderNotice(site, subject, body);
}

/** Someone added or removed a passkey. */
export function toPasskeyNotice(site: string, event: "added" | "removed", name: string): MailTexts {
  const direction = event === "added" ? "to" : "from";
  return toNotice(
    site,
    `A passkey was ${event}`,
    `The passkey "${name}" was ${event} ${direction} your account.`,
    "If that was not you, sign in, end your other sessions and look at your passkeys.",
  );
}

/** Contents of an account before somebody else's proof of its address emptied it. */
export interface EmptiedAccount {
  /** Names of the strategies whose identities were linked. */
  readonly strategies: readonly string[];
  readonly passkeys: number;
  readonly organizations: number;
}

/** Tells whoever proved an address that the account on it was opened before, and emptied. */
export function toTakeOverNotice(
  site: string,
  { strategies, passkeys, organizations }: EmptiedAccount,
): MailTexts {
  const gone = [
    ...strategies.map((strategy) => `the account at ${toProviderLabel(strategy)} that was linked to it`),
    ...(passkeys > 0 ? [`passkeys: ${passkeys}`] : []),
    ...(organizations > 0 ? [`memberships in organizations: ${organizations}`] : []),
    "all sessions from before",
  ];
  return toNotice(
    site,
    "Your account was emptied",
    "Your address was confirmed by a code that we mailed to you. An account had been opened on it before, and nobody had confirmed that it was yours: it is yours now, and nothing is left of what was in it.",
    `Removed: ${gone.join("; ")}.`,
    "If you opened it yourself, link your other accounts again by signing in with them, and ask the owners of your organizations to let you back in.",
  );
}

/** For those who run the platform: organizations whose only owner was such an account. */
export function toOwnerlessNotice(
  site: string,
  email: string,
  organizations: readonly { readonly id: string; readonly name: string }[],
): MailTexts {
  return toNotice(
    site,
    "Organizations were disabled for want of an owner",
    `The account ${email} was opened by somebody who never confirmed that address. The owner of the mailbox has taken it over, and its memberships are gone.`,
    `No owner is left of: ${organizations.map(({ id, name }) => `${name} (${id})`).join(", ")}. They are disabled, with all that their service users hold.`,
    "Look at what is in them, then delete them, or add an owner and enable them.",
  );
}

/** An identity was parted from the account. */
export function toUnlinkNotice(site: string, strategy: string, email: string): MailTexts {
  const account = email === "" ? "" : ` (${email})`;
  return toNotice(
    site,
    "A way to sign in was removed",
    `Your account at ${toProviderLabel(strategy)}${account} does not sign you in any more.`,
    "If that was not you, sign in, end your other sessions and look at your account.",
  );
}

/** Those who run the platform ended sessions of the account. */
export function toEndedSessionsNotice(site: string, count: number): MailTexts {
  const sessions = count === 1 ? "a session of yours" : `${count} sessions of yours`;
  return toNotice(
    site,
    "You were signed out",
    `The administrators of this place have ended ${sessions}. Sign in again to go on.`,
    "If you did not expect that, ask them for the reason.",
  );
}

/** To the address that an account had before those who run the platform gave it another. */
export function toOldAddressNotice(site: string, email: string): MailTexts {
  return toNotice(
    site,
    "The address of your account was changed",
    `The administrators of this place have given your account another address: ${email}. This one does not sign you in any more, and all your sessions have ended.`,
    "If you did not expect that, tell them.",
  );
}

/** To the address that it has now. Whose the account is, is not said: the address may be wrong. */
export function toNewAddressNotice(site: string): MailTexts {
  return toNotice(
    site,
    "An account has your address now",
    "The administrators of this place have given this address to an account. Sign in with it to confirm that it is yours.",
    "If you do not know of any account here, ignore this message, or tell them.",
  );
}

/** To the address that an account had until its identity provider told another. */
export function toProviderMoveNotice(site: string, email: string): MailTexts {
  return toNotice(
    site,
    "The address of your account was changed",
    `The account elsewhere that you sign in with has another address now, ${email}, and so has your account here. This one does not sign you in any more.`,
    "If you did not expect that, ask whoever runs your account there.",
  );
}

/** Somebody has not used a personal access token for half a year. */
export function toUnusedTokenNotice(site: string, title: string, organization: string): MailTexts {
  return toNotice(
    site,
    "A personal access token is not used",
    `Your personal access token "${toShownName(title)}" for ${toShownName(organization)} has not been used for 180 days. It still works.`,
    "If nothing needs it any more, delete it on the page of your account. This is the only time we tell you, unless it is used again.",
  );
}
