/** Mails about an account's address. */
import type { MailMessage } from "../mail/message.ts";
import { type MailTemplate, renderNotice } from "../mail/template.ts";

/** The mail with the code that proves a new address. */
export const emailChangeTemplate: MailTemplate = {
  subject: "{{.Otp}} confirms your new address",
  body: [
    "The code that confirms this address for your account is",
    "{{.Otp}}",
    "Type it where you asked for it. It works for {{.Minutes}} minutes, once.",
    "If you did not ask for it, someone else typed your address: there is nothing to do, and nobody needs to know the code.",
  ].join("\n\n"),
};

/** In place of the code, to an address that is an account's already. */
export function toTakenNotice(site: string, to: string): MailMessage {
  return {
    to,
    ...renderNotice(site, "Somebody asked to use your address", [
      "Somebody who is signed in to an account here asked to give it this address. It was not: there is an account that has this address, or had it until lately.",
      "If that was you, sign in with this address instead, or follow the link in our earlier mail to take the address back. Otherwise there is nothing to do.",
    ]),
  };
}

/** To the address that an account had until now. */
export function toChangedNotice(
  site: string,
  {
    from,
    to,
    link,
    until,
  }: { readonly from: string; readonly to: string; readonly link: string; readonly until: Date },
): MailMessage {
  return {
    to: from,
    ...renderNotice(site, "The address of your account was changed", [
      `Your account has another address now: ${to}. This one does not sign you in any more.`,
      "If that was you, there is nothing to do. If it was not, take the address back: whoever changed it is signed out everywhere then.",
      { link, label: "Take the address back" },
      `That works until ${toDay(until)}. Until then nobody else can have this address.`,
    ]),
  };
}

/** To the address that was taken back. */
export function toTakenBackNotice(site: string, to: string): MailMessage {
  return {
    to,
    ...renderNotice(site, "Your account has this address again", [
      "The change of your account's address was undone. All sessions and personal access tokens have ended, and the passkeys and linked accounts that were added since the change are gone.",
      "Sign in with this address, and look at your account. Its address cannot be changed for the next three days.",
    ]),
  };
}

/** To the address that an account had before it was taken back. */
export function toLostNotice(site: string, to: string): MailMessage {
  return {
    to,
    ...renderNotice(site, "The address of an account was taken back", [
      "An account that had this address has the one from before again: somebody who reads that mailbox undid the change. This address does not sign you in to it any more.",
      "If the account is yours, sign in with the address from before.",
    ]),
  };
}

/** To the address of an account that its owner has deleted. */
export function toDeletedNotice(site: string, to: string): MailMessage {
  return {
    to,
    ...renderNotice(site, "Your account was deleted", [
      "Your account here was deleted, from one of its own sessions, and nothing of it is left to sign in to. If you sign in with this address again, you begin anew.",
      "If that was not you, tell whoever runs this site.",
    ]),
  };
}

function toDay(instant: Date): string {
  return `${instant.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}
