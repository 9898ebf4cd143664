import type { Reader, Tx } from "../db/database.ts";

/** The recorded fingerprint of a key in use. */
export interface KeyCheck {
  readonly purpose: string;
  readonly keyId: string;
  readonly checkValue: string;
}

/** Every recorded check of a purpose, oldest first. */
export async function findKeyChecks(reader: Reader, purpose: string): Promise<KeyCheck[]> {
  const rows = await reader
    .selectFrom("key_checks")
    .selectAll()
    .where("purpose", "=", purpose)
    .orderBy("created_at")
    .execute();
  return rows.map((row) => ({ purpose: row.purpose, keyId: row.key_id, checkValue: row.check_value }));
}

/** Records a check; one that another process has just recorded is left as it is. */
export async function insertKeyCheck(tx: Tx, check: KeyCheck, now: Date): Promise<void> {
  await tx
    .insertInto("key_checks")
    .values({
      purpose: check.purpose,
      key_id: check.keyId,
      check_value: check.checkValue,
      created_at: now.getTime(),
    })
    .onConflict((conflict) => conflict.columns(["purpose", "key_id"]).doNothing())
    .execute();
}

/** Forgets one check. */
export async function removeKeyCheck(tx: Tx, purpose: string, keyId: string): Promise<void> {
  await tx.deleteFrom("key_checks").where("purpose", "=", purpose).where("key_id", "=", keyId).execute();
}

/** Forgets the checks of a purpose. */
export async function removeKeyChecks(tx: Tx, purpose: string): Promise<void> {
  await tx.deleteFrom("key_checks").where("purpose", "=", purpose).execute();
}
