/** Both kinds of invitations, as their mails are sent. */
import { randomBytes } from "node:crypto";
import { hashSecret } from "../lib/secrets.ts";
import { findInvitation } from "../organizations/invitation-store.ts";
import * as store from "./due-store.ts";
import type { DueMails } from "./mails.ts";
import { toInvitationNotice, toSignUpNotice } from "./notices.ts";

/** Where the links of mails lead, and what the place is called. */
export interface MailPlace {
  readonly publicUrl: string;
  readonly siteName: string;
}

/**
 * Invitations into organizations. Each mail has a link of its own, whose 256
 * random bits are known to the mail alone: the link of the one before is dead.
 */
export function createInvitationMails({ publicUrl, siteName }: MailPlace): DueMails {
  return {
    findDue: store.findDueInvitations,
    async claim(tx, id, now, until) {
      const token = randomBytes(32).toString("base64url");
      const tokenHash = hashSecret(token);
      const attempts = await store.claimInvitationMail(tx, id, tokenHash, now, until);
      const invitation = attempts === undefined ? undefined : await findInvitation(tx, id);
      if (attempts === undefined || invitation === undefined) return undefined;
      const link = `${publicUrl}/invitation?id=${id}&t=${token}`;
      return {
        message: { to: invitation.email, ...toInvitationNotice(siteName, invitation, link) },
        attempts,
        settle: (inTx, dueAt, sentAt) => store.settleInvitationMail(inTx, tokenHash, dueAt, sentAt),
      };
    },
  };
}

/** Addresses that a superuser lets sign up, where they were to be told. */
export function createSignUpMails({ publicUrl, siteName }: MailPlace): DueMails {
  return {
    findDue: store.findDueSignUps,
    async claim(tx, email, now, until) {
      const attempts = await store.claimSignUpMail(tx, email, now, until);
      if (attempts === undefined) return undefined;
      return {
        message: { to: email, ...toSignUpNotice(siteName, `${publicUrl}/login`) },
        attempts,
        settle: (inTx, dueAt) => store.settleSignUpMail(inTx, email, attempts, dueAt),
      };
    },
  };
}
