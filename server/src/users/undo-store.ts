/**
 * Rows of changes of address that can be undone. They stand here because the
 * address before is nobody's meanwhile, whoever asks for it; the rules of
 * changing and undoing are the room's above.
 */
import type { Selectable } from "kysely";
import type { Reader, Tx } from "../db/database.ts";
import { prepared } from "../db/prepared.ts";
import { removeOld } from "../db/remove-rows.ts";
import type { EmailUndoRow } from "../db/schema.ts";

/** A change of address that whoever reads the mailbox before can undo. */
export interface EmailUndo {
  readonly id: string;
  readonly userId: string;
  /** The address before. */
  readonly email: string;
  readonly changedAt: Date;
  readonly expiresAt: Date;
}

function toUndo(row: Selectable<EmailUndoRow>): EmailUndo {
  return {
    id: row.id,
    userId: row.user_id,
    email: row.email,
    changedAt: new Date(row.changed_at),
    expiresAt: new Date(row.expires_at),
  };
}

/** Stores a change that can be undone. @param tokenHash SHA-256 of what the link carries, base64url */
export async function insertUndo(tx: Tx, undo: EmailUndo, tokenHash: string): Promise<void> {
  await tx
    .insertInto("email_undos")
    .values({
      id: undo.id,
      user_id: undo.userId,
      email: undo.email,
      token_hash: tokenHash,
      changed_at: undo.changedAt.getTime(),
      expires_at: undo.expiresAt.getTime(),
    })
    .execute();
}

/** The change that a link undoes; undefined once its time is up. */
export async function findUndo(reader: Reader, tokenHash: string, now: Date): Promise<EmailUndo | undefined> {
  const row = await reader
    .selectFrom("email_undos")
    .selectAll()
    .where("token_hash", "=", tokenHash)
    .where("expires_at", ">", now.getTime())
    .executeTakeFirst();
  return row && toUndo(row);
}

/** The first change of a user's address that can still be undone. */
export async function findFirstUndo(
  reader: Reader,
  userId: string,
  now: Date,
): Promise<EmailUndo | undefined> {
  const row = await reader
    .selectFrom("email_undos")
    .selectAll()
    .where("user_id", "=", userId)
    .where("expires_at", ">", now.getTime())
    .orderBy("changed_at")
    .limit(1)
    .executeTakeFirst();
  return row && toUndo(row);
}

/** The changes of a user's address that can still be undone, in their order. */
export async function findUndos(reader: Reader, userId: string, now: Date): Promise<readonly EmailUndo[]> {
  const rows = await reader
    .selectFrom("email_undos")
    .selectAll()
    .where("user_id", "=", userId)
    .where("expires_at", ">", now.getTime())
    .orderBy("changed_at")
    .execute();
  return rows.map(toUndo);
}

const selectHolder = prepared((database, { email, nowMs }: { email: string; nowMs: number }) =>
  database
    .selectFrom("email_undos")
    .select("user_id")
    .where("email", "=", email)
    .where("expires_at", ">", nowMs)
    .limit(1),
);

/** For whom an address is held that they can take back; undefined when it is held for nobody. */
export async function findHolder(reader: Reader, email: string, now: Date): Promise<string | undefined> {
  return (await selectHolder.first(reader, { email, nowMs: now.getTime() }))?.user_id;
}

/** Removes a change that can be undone; false when it is gone. */
export async function consumeUndo(tx: Tx, id: string): Promise<boolean> {
  const result = await tx.deleteFrom("email_undos").where("id", "=", id).executeTakeFirst();
  return result.numDeletedRows > 0n;
}

/** Has a user's changes stay that were made at an instant or later; all unless given. */
export async function deleteUndos(tx: Tx, userId: string, since = new Date(0)): Promise<void> {
  await tx
    .deleteFrom("email_undos")
    .where("user_id", "=", userId)
    .where("changed_at", ">=", since.getTime())
    .execute();
}

/** Until when a user cannot change the address; in the past where they can. */
export async function findEmailFixedUntil(reader: Reader, userId: string): Promise<Date> {
  const row = await reader
    .selectFrom("users")
    .select("email_fixed_until")
    .where("id", "=", userId)
    .executeTakeFirst();
  return new Date(row?.email_fixed_until ?? 0);
}

/** Has a user not change the address until an instant. */
export async function fixEmail(tx: Tx, userId: string, until: Date): Promise<void> {
  await tx
    .updateTable("users")
    .set({ email_fixed_until: until.getTime() })
    .where("id", "=", userId)
    .execute();
}

/** Removes changes that cannot be undone any more. */
export const deleteExpiredUndos = removeOld("email_undos", ["id"], "expires_at");
