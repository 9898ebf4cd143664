import type { Reader } from "../db/database.ts";
import type { Mailboxes } from "./mailboxes.ts";

/** Counts the audit records. */
export async function countRecords(reader: Reader): Promise<number> {
  const row = await reader
    .selectFrom("audit_records")
    .select((eb) => eb.fn.countAll<number>().as("count"))
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

/** Mailboxes of nobody, hashed so that tests can tell. */
export const testMailboxes: Mailboxes = {
  read: (text) => text,
  hash: (mailbox) => `hash of ${mailbox}`,
  findUserId: async () => undefined,
};
