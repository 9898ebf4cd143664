/** When the last backup was made, for operators: `doctor` and metrics show it. */
import type { Database, Reader } from "../db/database.ts";

/** A backup that is done. */
export interface LastBackup {
  /** Its moment. */
  readonly at: Date;
  readonly endedAt: Date;
}

/** Notes a backup in place of the one before. */
export async function noteBackup(
  database: Pick<Database, "transaction">,
  { at, endedAt }: LastBackup,
): Promise<void> {
  const row = { id: 1, at: at.getTime(), ended_at: endedAt.getTime() };
  await database.transaction((tx) =>
    tx
      .insertInto("last_backup")
      .values(row)
      .onConflict((conflict) => conflict.column("id").doUpdateSet({ at: row.at, ended_at: row.ended_at }))
      .execute(),
  );
}

/** Finds when the last backup was made; undefined before the first. */
export async function findLastBackup(reader: Reader): Promise<LastBackup | undefined> {
  const row = await reader.selectFrom("last_backup").select(["at", "ended_at"]).executeTakeFirst();
  return row && { at: new Date(row.at), endedAt: new Date(row.ended_at) };
}
