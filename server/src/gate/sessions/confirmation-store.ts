import type { Reader, Tx } from "../../db/database.ts";

/** A person, and a frontdoor whose owners they do not belong to. */
export interface ConfirmedPair {
  readonly userId: string;
  readonly frontdoorId: string;
}

/** Whether a person has said that those who run a frontdoor may know who they are. */
export async function isConfirmed(reader: Reader, { userId, frontdoorId }: ConfirmedPair): Promise<boolean> {
  const row = await reader
    .selectFrom("gate_confirmations")
    .select("user_id")
    .where("user_id", "=", userId)
    .where("frontdoor_id", "=", frontdoorId)
    .executeTakeFirst();
  return row !== undefined;
}

/** Keeps that they have. @returns false when they had before: of any number of concurrent calls one is answered true */
export async function confirm(tx: Tx, { userId, frontdoorId }: ConfirmedPair, now: Date): Promise<boolean> {
  const { numInsertedOrUpdatedRows = 0n } = await tx
    .insertInto("gate_confirmations")
    .values({ user_id: userId, frontdoor_id: frontdoorId, created_at: now.getTime() })
    .onConflict((conflict) => conflict.columns(["user_id", "frontdoor_id"]).doNothing())
    .executeTakeFirst();
  return numInsertedOrUpdatedRows > 0n;
}

/** The frontdoors whose owners a user lets know who they are, in the order in which they said so. */
export async function findConfirmations(
  reader: Reader,
  userId: string,
): Promise<readonly { readonly frontdoorId: string; readonly createdAt: Date }[]> {
  const rows = await reader
    .selectFrom("gate_confirmations")
    .select(["frontdoor_id", "created_at"])
    .where("user_id", "=", userId)
    .orderBy("created_at")
    .orderBy("frontdoor_id")
    .execute();
  return rows.map((row) => ({ frontdoorId: row.frontdoor_id, createdAt: new Date(row.created_at) }));
}

/** Forgets all that a user has said so of. */
export async function forgetConfirmations(tx: Tx, userId: string): Promise<void> {
  await tx.deleteFrom("gate_confirmations").where("user_id", "=", userId).execute();
}

/** Forgets that they have: the next time they are asked again. */
export async function forgetConfirmation(tx: Tx, { userId, frontdoorId }: ConfirmedPair): Promise<void> {
  await tx
    .deleteFrom("gate_confirmations")
    .where("user_id", "=", userId)
    .where("frontdoor_id", "=", frontdoorId)
    .execute();
}
