/**
 * Mailboxes in the trail. People type anything where an address is asked for,
 * and records outlive accounts: none holds an address, but a hash of it under a
 * key of the database's own, by which whoever knows the address finds them.
 *
 * The key is sealed like every secret, and with the others it is sealed anew
 * when the encryption key is replaced: what was recorded before is found as well.
 */
import { createHmac, randomBytes } from "node:crypto";
import type { Database, Reader } from "../db/database.ts";
import { placeOf, type SealedColumn, type Sealer } from "../encryption/sealer.ts";

/** Tells of mailboxes what the trail has to know. */
export interface Mailboxes {
  /** An address in the one spelling that all have here; undefined for what is none. */
  read(text: string): string | undefined;
  /** What stands for a mailbox in a record. @param mailbox as `read` spells it */
  hash(mailbox: string): string;
  /** The id of the account that a mailbox has. */
  findUserId(reader: Reader, mailbox: string): Promise<string | undefined>;
}

/** Where the key is kept. */
export const mailboxKeyColumn: SealedColumn = {
  purpose: "mailbox-key",
  table: "audit_keys",
  column: "sealed_key",
  keyColumns: ["id"],
};

const keyId = "mailbox";
const keyBytes = 32;

/** Opens the key, which the first process on a database makes. @throws Error when it cannot be opened */
export async function openMailboxes(options: {
  readonly database: Pick<Database, "transaction">;
  readonly sealer: Sealer;
  readonly toEmail: (text: string) => string | undefined;
  readonly findUserByEmail: (reader: Reader, email: string) => Promise<{ readonly id: string } | undefined>;
}): Promise<Mailboxes> {
  const { database, sealer, toEmail, findUserByEmail } = options;
  const place = placeOf(mailboxKeyColumn, [keyId]);
  const sealed = await database.transaction(async (tx) => {
    const made = { id: keyId, sealed_key: sealer.seal(place, randomBytes(keyBytes)) };
    await tx
      .insertInto("audit_keys")
      .values(made)
      .onConflict((conflict) => conflict.column("id").doNothing())
      .execute();
    return await tx
      .selectFrom("audit_keys")
      .select("sealed_key")
      .where("id", "=", keyId)
      .executeTakeFirstOrThrow();
  });
  const key = sealer.open(place, sealed.sealed_key);
  return {
    read: toEmail,
    hash: (mailbox) => createHmac("sha256", key).update(mailbox).digest("base64url"),
    findUserId: async (reader, mailbox) => (await findUserByEmail(reader, mailbox))?.id,
  };
}
