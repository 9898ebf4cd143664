/**
 * How many mails of invitations may be asked for. Told openly, unlike the limits
 * of sign-in: whoever is refused is signed in, and learns nothing of the mailbox
 * but that somebody wrote to it.
 *
 * Of what may go to a mailbox no sender and no organization has more than a
 * part, so that whoever would use it up needs several of both; what superusers
 * send counts apart, so that nobody keeps them from writing.
 *
 * Each mail that is asked for is a row for a day, counted while its sender, its
 * organization and its mailbox are locked: no race exceeds a limit, and deleting
 * the invitation gives nothing back.
 */
import type { Tx } from "../db/database.ts";
import { DomainError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { hashSecret } from "../lib/secrets.ts";
import { type CountedMail, countedMs, findMails, insertMail, lockMailbox } from "./mail-store.ts";

/** Who asks for mails, and for which organization: both locked before. */
export interface MailSender {
  /** Empty for invitations to sign up. */
  readonly orgId: string;
  readonly senderId: string;
  /** Superusers have the limits of the mailbox alone, counted apart from those of all others. */
  readonly isSuperuser: boolean;
}

/** So many within so long. */
interface MailLimit {
  readonly most: number;
  readonly windowMs: number;
  /** As the refusal has it. */
  readonly whose: string;
}

const ofSender: MailLimit = { most: 50, windowMs: countedMs, whose: "by one sender in a day" };
const ofOrganization: MailLimit = { most: 50, windowMs: countedMs, whose: "by one organization in a day" };
/** Three fifths of a mailbox's day, as one network has of its codes. */
const ofOneAtMailbox = { most: 3, windowMs: countedMs };
const ofMailbox: readonly MailLimit[] = [
  { most: 1, windowMs: 600_000, whose: "to one mailbox in ten minutes" },
  { most: 5, windowMs: countedMs, whose: "to one mailbox in a day" },
];

/** Counts a mail to each of the addresses, or none of them. @throws DomainError TOO_MANY_INVITATIONS */
export async function takeMails(
  tx: Tx,
  { orgId, senderId, isSuperuser }: MailSender,
  emails: readonly string[],
  now: Date,
): Promise<void> {
  if (!isSuperuser) {
    requireRoom(await findMails(tx, "sender_id", senderId, now), ofSender, emails.length, now);
    requireRoom(await findMails(tx, "org_id", orgId, now), ofOrganization, emails.length, now);
  }
  // In one order, so that two transactions never wait for each other crosswise.
  for (const mailboxHash of emails.map((email) => toMailboxHash(email, isSuperuser)).toSorted()) {
    await lockMailbox(tx, mailboxHash);
    const mails = await findMails(tx, "mailbox_hash", mailboxHash, now);
    for (const limit of ofMailbox) requireRoom(mails, limit, 1, now);
    if (!isSuperuser) {
      const bySender = mails.filter((mail) => mail.senderId === senderId);
      requireRoom(bySender, { ...ofOneAtMailbox, whose: "to one mailbox by one sender in a day" }, 1, now);
      const byOrganization = mails.filter((mail) => mail.orgId === orgId);
      const whose = "to one mailbox by one organization in a day";
      requireRoom(byOrganization, { ...ofOneAtMailbox, whose }, 1, now);
    }
    await insertMail(tx, { id: newId(now), mailboxHash, orgId, senderId, at: now });
  }
}

/** @param mails oldest first */
function requireRoom(mails: readonly CountedMail[], limit: MailLimit, wanted: number, now: Date): void {
  const { most, windowMs, whose } = limit;
  const within = mails.filter(({ atMs }) => atMs > now.getTime() - windowMs);
  const tooMany = within.length + wanted - most;
  if (tooMany <= 0) return;
  const freeAtMs = (within[tooMany - 1]?.atMs ?? now.getTime()) + windowMs;
  throw new DomainError("TOO_MANY_INVITATIONS", {
    message: `no more than ${most} invitations are mailed ${whose}, try again later`,
    retryAfterSeconds: Math.max(1, Math.ceil((freeAtMs - now.getTime()) / 1000)),
  });
}

function toMailboxHash(email: string, isSuperuser: boolean): string {
  return hashSecret(`invitation${isSuperuser ? " by superusers" : ""} to ${email}`);
}
