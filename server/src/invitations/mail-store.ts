import type { Tx } from "../db/database.ts";
import { lockForTransaction } from "../db/dialect.ts";
import { removeOld } from "../db/remove-rows.ts";
import { clockSlackMs } from "../lib/clock.ts";

/** How long mails are counted, in milliseconds. */
export const countedMs = 24 * 3_600_000;

/** Makes everyone who counts mails to a mailbox wait for each other until the transaction ends. */
export async function lockMailbox(tx: Tx, mailboxHash: string): Promise<void> {
  await lockForTransaction(tx, Buffer.from(mailboxHash, "base64url").readUIntBE(0, 6));
}

/** A mail that counts still. */
export interface CountedMail {
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  readonly orgId: string;
  readonly senderId: string;
}

/** Mails that count still, oldest first. What a clock that ran ahead has left counts for nothing. */
export async function findMails(
  tx: Tx,
  column: "mailbox_hash" | "org_id" | "sender_id",
  value: string,
  now: Date,
): Promise<CountedMail[]> {
  const rows = await tx
    .selectFrom("invitation_mails")
    .select(["at", "org_id", "sender_id"])
    .where(column, "=", value)
    .where("at", ">", now.getTime() - countedMs)
    .where("at", "<=", now.getTime() + clockSlackMs)
    .orderBy("at")
    .execute();
  return rows.map(({ at, org_id: orgId, sender_id: senderId }) => ({ atMs: at, orgId, senderId }));
}

/** A mail that was asked for. */
export interface AskedMail {
  readonly id: string;
  /** SHA-256 of the address and of whom its limits are, base64url. */
  readonly mailboxHash: string;
  readonly orgId: string;
  readonly senderId: string;
  readonly at: Date;
}

/** Counts a mail. */
export async function insertMail(tx: Tx, mail: AskedMail): Promise<void> {
  await tx
    .insertInto("invitation_mails")
    .values({
      id: mail.id,
      mailbox_hash: mail.mailboxHash,
      org_id: mail.orgId,
      sender_id: mail.senderId,
      at: mail.at.getTime(),
    })
    .execute();
}

/** Removes mails that do not count any more. */
export const deleteUncountedMails = removeOld("invitation_mails", ["id"], "at", countedMs);
