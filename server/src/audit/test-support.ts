import type { Reader } from "../db/database.ts";

/** Counts the audit records. */
export async function countRecords(reader: Reader): Promise<number> {
  const row = await reader
    .selectFrom("audit_records")
    .select((eb) => eb.fn.countAll<number>().as("count"))
    .executeTakeFirstOrThrow();
  return Number(row.count);
}
