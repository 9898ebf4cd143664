import { z } from "zod";
import type { Reader, Tx } from "../db/database.ts";
import { forUpdate } from "../db/dialect.ts";
import { jsonColumn } from "../db/json-column.ts";
import type { PasskeyRow } from "../db/schema.ts";
import type { Passkey, PasskeyUse } from "./passkey.ts";

const transportsColumn = jsonColumn<readonly string[]>("passkeys.transports", z.array(z.string()));

function toPasskey(row: PasskeyRow): Passkey {
  return {
    id: row.id,
    userId: row.user_id,
    credentialId: row.credential_id,
    publicKey: new Uint8Array(Buffer.from(row.public_key, "base64url")),
    counter: row.counter,
    transports: transportsColumn.decode(row.transports),
    isSynced: row.synced === 1,
    isBackedUp: row.backed_up === 1,
    name: row.name,
    createdAt: new Date(row.created_at),
    ...(row.last_used_at === null ? {} : { lastUsedAt: new Date(row.last_used_at) }),
  };
}

/** A passkey by the name its authenticator gave it. */
export async function findPasskeyByCredentialId(
  reader: Reader,
  credentialId: string,
): Promise<Passkey | undefined> {
  const row = await reader
    .selectFrom("passkeys")
    .selectAll()
    .where("credential_id", "=", credentialId)
    .executeTakeFirst();
  return row && toPasskey(row);
}

/** A user's passkeys, oldest first. */
export async function findPasskeys(reader: Reader, userId: string): Promise<Passkey[]> {
  const rows = await reader
    .selectFrom("passkeys")
    .selectAll()
    .where("user_id", "=", userId)
    .orderBy("id")
    .execute();
  return rows.map(toPasskey);
}

/** Holds a user's row until the transaction ends: whoever adds a passkey waits for the others. */
export async function lockUser(tx: Tx, userId: string): Promise<void> {
  await tx.selectFrom("users").select("id").where("id", "=", userId).$call(forUpdate(tx)).execute();
}

/**
 * Whether a user still has a passkey, with `tx` until it ends: a removal that
 * races waits, or has come first.
 */
export async function holdPasskey(tx: Tx, id: string, userId: string): Promise<boolean> {
  await lockUser(tx, userId);
  const row = await tx
    .selectFrom("passkeys")
    .select("id")
    .where("id", "=", id)
    .where("user_id", "=", userId)
    .executeTakeFirst();
  return row !== undefined;
}

/** Stores a new passkey. @throws a unique violation when it is registered already. */
export async function insertPasskey(tx: Tx, passkey: Passkey): Promise<void> {
  await tx
    .insertInto("passkeys")
    .values({
      id: passkey.id,
      user_id: passkey.userId,
      credential_id: passkey.credentialId,
      public_key: Buffer.from(passkey.publicKey).toString("base64url"),
      counter: passkey.counter,
      transports: transportsColumn.encode(passkey.transports),
      synced: passkey.isSynced ? 1 : 0,
      backed_up: passkey.isBackedUp ? 1 : 0,
      name: passkey.name,
      created_at: passkey.createdAt.getTime(),
      last_used_at: null,
    })
    .execute();
}

/**
 * Notes a use. The counter of a passkey that is bound to one device never goes back, whichever of two uses
 * is stored last; one that is synced keeps none that could be relied on, and never becomes bound again.
 *
 * @returns whether it has become one that is synced, said once.
 */
export async function updatePasskeyUse(tx: Tx, id: string, use: PasskeyUse, at: Date): Promise<boolean> {
  const { counter, isSynced, isBackedUp } = use;
  const used = { last_used_at: at.getTime(), backed_up: isBackedUp ? 1 : 0 } as const;
  await tx
    .updateTable("passkeys")
    .set(isSynced ? { ...used, counter } : used)
    .where("id", "=", id)
    .execute();
  const change = tx.updateTable("passkeys").where("id", "=", id).where("synced", "=", 0);
  if (!isSynced) {
    await change.set({ counter }).where("counter", "<", counter).execute();
    return false;
  }
  const { numUpdatedRows } = await change.set({ synced: 1 }).executeTakeFirst();
  return numUpdatedRows > 0n;
}

/** Gives a user's passkey another name and answers it as it is now; undefined when there is none. */
export async function updatePasskeyName(
  tx: Tx,
  id: string,
  userId: string,
  name: string,
): Promise<Passkey | undefined> {
  const row = await tx
    .updateTable("passkeys")
    .set({ name })
    .where("id", "=", id)
    .where("user_id", "=", userId)
    .returningAll()
    .executeTakeFirst();
  return row && toPasskey(row);
}

/** Removes a user's passkey; false when there is none. */
export async function deletePasskey(tx: Tx, id: string, userId: string): Promise<boolean> {
  const result = await tx
    .deleteFrom("passkeys")
    .where("id", "=", id)
    .where("user_id", "=", userId)
    .executeTakeFirst();
  return result.numDeletedRows > 0n;
}

/** Removes a user's passkeys, all or those added at an instant or later, and answers how many there were. */
export async function deletePasskeys(tx: Tx, userId: string, since = new Date(0)): Promise<number> {
  const result = await tx
    .deleteFrom("passkeys")
    .where("user_id", "=", userId)
    .where("created_at", ">=", since.getTime())
    .executeTakeFirst();
  return Number(result.numDeletedRows);
}

/** A user's WebAuthn handle, base64url, and what to call them; undefined for an unknown user. */
export async function findPasskeyOwner(
  reader: Reader,
  userId: string,
): Promise<{ readonly handle: string; readonly email: string; readonly title: string } | undefined> {
  const row = await reader
    .selectFrom("users")
    .select(["passkey_handle as handle", "email", "title"])
    .where("id", "=", userId)
    .executeTakeFirst();
  return row;
}
