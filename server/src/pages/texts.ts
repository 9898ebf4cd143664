/**
 * What a person is told when something was refused: what happened, and what
 * they can do about it. The reasons themselves are for clients and logs.
 */
import type { Refusal } from "../html/frame.ts";
import type { PlainRequest } from "../http/plain-route.ts";
import { DomainError, type ErrorKind, type Reason } from "../lib/errors.ts";
import { findProviderWords } from "../lib/provider-words.ts";
import { toProviderLabel } from "../lib/well-known-providers.ts";

/** A heading and the sentences below it. */
export interface Explanation {
  readonly title: string;
  readonly text: string;
  /** False where nothing helps before somebody else has mended something. */
  readonly mayTryAgain?: boolean;
}

const startAgain: Explanation = {
  title: "This sign-in is over",
  text: "It took too long, was finished already, or could not go on. Nothing is lost: start again.",
};

const byReason: Partial<Record<Reason, Explanation>> = {
  INVALID_FLOW: startAgain,
  INVALID_AUTH_STATE: {
    title: "This sign-in began elsewhere",
    text: "It can only be finished in the browser where it began, and by the provider it began with. Go back there, or start again here.",
  },
  INVALID_OTP: {
    title: "That code is not right",
    text: "It may be of an older mail, or has been tried too often. Start again to be sent a new one.",
  },
  INVALID_EMAIL: {
    title: "That is not an e-mail address",
    text: "Type it in full, such as ann@example.org. Before the @ only letters from A to Z, digits and signs are taken.",
  },
  CODE_MISSING: startAgain,
  UNSUPPORTED_STRATEGY: {
    title: "That way to sign in is not offered here",
    text: "Choose one of those that are.",
  },
  REDIRECT_NOT_ALLOWED: {
    title: "That link leads somewhere it may not",
    text: "The page that sent you here asked for an address that is not set up. Tell whoever runs it, or sign in without it.",
  },
  REAUTH_REQUIRED: {
    title: "Sign in again first",
    text: "This needs a sign-in of the last ten minutes, to be sure that it is still you.",
  },
  EMAIL_CHANGE_PAUSED: {
    title: "Your address cannot be changed yet",
    text: "It was taken back lately, and stays for three days.",
  },
  EMAIL_UNDO_OPEN: {
    title: "That is not possible yet",
    text: "The address of your account was changed within the last seven days. Until then whoever reads the mailbox before can undo that, and finds what was there before.",
  },
  ADDRESS_HELD: {
    title: "This address cannot sign in at the moment",
    text: "An account had it until lately, and has another one now. If the account is yours and you did not change that, follow the link in the mail that we sent you; else sign in with the new address.",
  },
  EMAIL_REQUIRED: {
    title: "An address is missing",
    text: "The provider told us no e-mail address that it has verified. Verify one there, or sign in another way.",
  },
  SIGNUP_CLOSED: {
    title: "This address cannot sign up here",
    text: "New accounts are limited here. Sign in with an address that may have one, or ask whoever runs this site.",
  },
  PRINCIPAL_DISABLED: {
    title: "This account is disabled",
    text: "Ask whoever runs this site to enable it.",
  },
  USER_NOT_FOUND: {
    title: "This account is gone",
    text: "It was deleted. Ask whoever runs this site if that comes as a surprise.",
  },
  TOO_MANY_FLOWS: {
    title: "Too many sign-ins were begun",
    text: "From your network, within a minute, and not finished. Wait a minute, then try again.",
  },
  CROSS_ORIGIN: {
    title: "That did not come from this page",
    text: "The form was open too long, or your browser keeps no cookies for this site. Open the page again and repeat what you did.",
  },
  GATE_SESSION_NOT_FOUND: {
    title: "That app is signed out already",
    text: "There was nothing left to end.",
  },
  SESSION_NOT_FOUND: {
    title: "That session is over already",
    text: "There was nothing left to end.",
  },
  PASSKEY_NOT_FOUND: {
    title: "That passkey is gone already",
    text: "It may have been removed in another tab.",
  },
  IDENTITY_NOT_FOUND: {
    title: "That account is unlinked already",
    text: "It may have been unlinked in another tab.",
  },
  NOT_AUTHORIZED: {
    title: "That is not allowed",
    text: "This account may not do that: it may have another role by now than when the page was opened.",
  },
  ADDRESS_UNPROVEN: {
    title: "Confirm your address first",
    text: "That needs an address that is confirmed: see your account.",
  },
  ORGANIZATION_DISABLED: {
    title: "This organization is disabled",
    text: "Nothing in it can be seen or changed until whoever runs this site enables it again.",
  },
  MEMBER_NOT_FOUND: {
    title: "That person is no member any more",
    text: "They may have left, or have been removed in another tab.",
  },
  ALREADY_MEMBER: {
    title: "That person is a member already",
    text: "Nobody was invited: leave their address out.",
  },
  PROJECT_NOT_FOUND: {
    title: "One of the projects is gone",
    text: "It may have been deleted in another tab. Nobody was invited.",
  },
  INVITATION_NOT_FOUND: {
    title: "There is no such invitation any more",
    text: "It may have been answered or withdrawn, or a newer mail may have a link that works. Or it is for another address than the one you are signed in with.",
  },
  INVITATION_EXPIRED: {
    title: "This invitation has expired",
    text: "Ask whoever sent it for a new one.",
  },
  TOO_MANY_INVITATIONS: {
    title: "Too soon, or too many invitations",
    text: "No mail was sent. One address is sent one in ten minutes and five in a day, an organization and an owner send 50 in a day, and 100 may be unanswered. Try again later, or withdraw some.",
  },
  TOO_MANY_EXPORTS: {
    title: "You have your data already",
    text: "It can be downloaded three times a day. Try again tomorrow.",
  },
  LAST_OWNER: {
    title: "Nobody would own the organization any more",
    text: "Make another member an owner first, then do this again.",
  },
  NAME_TAKEN: {
    title: "That name is taken",
    text: "Choose another one.",
  },
  TOO_MANY_ORGANIZATIONS: {
    title: "One person may own only so many organizations",
    text: "One of them has to be deleted or left first, or whoever runs this site adds another.",
  },
  PAT_NOT_FOUND: {
    title: "That token is gone already",
    text: "It may have been deleted in another tab, or have ended with your membership.",
  },
  PAT_TITLE_TAKEN: {
    title: "You have a token of that title there",
    text: "Nothing was made. Choose another title, or delete the one that has it.",
  },
  TOO_MANY_PATS: {
    title: "You have as many tokens there as there may be",
    text: "Fifty in an organization, expired ones included. Delete one to make another.",
  },
  LAST_WAY_IN: {
    title: "That is your last way in",
    text: "Add a passkey or sign in with another account first, then remove this one.",
  },
};

const byKind: Readonly<Record<ErrorKind, Explanation>> = {
  invalid_argument: { title: "That did not work", text: "Something in the request is not as it should be." },
  unauthenticated: { title: "You are signed out", text: "Sign in and try again." },
  permission_denied: { title: "That is not allowed", text: "This account may not do that." },
  not_found: { title: "There is nothing here", text: "It may have been removed." },
  already_exists: { title: "That is there already", text: "There was nothing to do." },
  failed_precondition: { title: "That is not possible now", text: "Something else has to happen first." },
  resource_exhausted: { title: "That was too much", text: "Wait for a while, then try again." },
  aborted: { title: "Something else was faster", text: "Look again, then repeat what you did." },
  unavailable: {
    title: "That cannot be done at the moment",
    text: "Something it needs is not answering. Try again in a few minutes, or sign in another way.",
  },
  unimplemented: { title: "That is not offered here", text: "Choose something else." },
  internal: { title: "Something went wrong", text: "That is our fault. Try again in a few minutes." },
};

const statusByKind: Readonly<Record<ErrorKind, number>> = {
  invalid_argument: 400,
  unauthenticated: 401,
  permission_denied: 403,
  not_found: 404,
  already_exists: 409,
  failed_precondition: 400,
  resource_exhausted: 429,
  aborted: 409,
  unavailable: 503,
  unimplemented: 501,
  internal: 500,
};

/** What to tell a person of a refusal. */
export function explain({
  reason,
  kind,
  metadata: { provider } = {},
}: Pick<DomainError, "reason" | "kind"> & Partial<Pick<DomainError, "metadata">>): Explanation {
  const words = provider === undefined ? undefined : findProviderWords(reason, toProviderLabel(provider));
  return words ?? byReason[reason] ?? byKind[kind];
}

/** The text that a query names; undefined for a name that has none. */
export function findText(texts: Readonly<Record<string, string>>, name: string): string | undefined {
  return Object.hasOwn(texts, name) ? texts[name] : undefined;
}

/** What a page says itself of refusals after which it is shown anew, by their reasons. */
export function toProblemTexts(reasons: readonly Reason[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    reasons.map((reason) => {
      const { title, text } = explain(new DomainError(reason));
      return [reason, `${title}. ${text}`];
    }),
  );
}

/** The refusal as the frame of a page has it; its status is the same as of any other route. */
export function toRefusal(
  { kind, retryAfterSeconds }: Pick<DomainError, "kind" | "retryAfterSeconds">,
  { info }: Pick<PlainRequest, "info">,
): Refusal {
  return { status: statusByKind[kind], requestId: info.requestId, retryAfterSeconds };
}

const dateFormat = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeZone: "UTC" });
const exactFormat = new Intl.DateTimeFormat("en-GB", {
  dateStyle: "medium",
  timeStyle: "short",
  timeZone: "UTC",
});

/** `5 Nov 2026`, in UTC. */
export function toDateText(at: Date): string {
  return dateFormat.format(at);
}

/** `5 Nov 2026, 14:05 UTC`. */
export function toExactText(at: Date): string {
  return `${exactFormat.format(at)} UTC`;
}

/** How long ago, as people say it; a date once that is further away than a week. */
export function toAgoText(at: Date, now: Date): string {
  const minutes = Math.floor((now.getTime() - at.getTime()) / 60_000);
  if (minutes < 2) return "just now";
  if (minutes < 60) return `${minutes} minutes ago`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return hours === 1 ? "an hour ago" : `${hours} hours ago`;
  const days = Math.floor(hours / 24);
  if (days <= 7) return days === 1 ? "yesterday" : `${days} days ago`;
  return `on ${toDateText(at)}`;
}
