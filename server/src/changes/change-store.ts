import type { Reader, Tx } from "../db/database.ts";
import { lockForTransaction, notify } from "../db/dialect.ts";
import { prepared } from "../db/prepared.ts";
import type { Change, ChangeTopic } from "./topics.ts";

/** Channel of Postgres's `NOTIFY`. */
export const changesChannel = "vestibule_changes";

/** Advisory lock of Postgres that transactions with changes take. */
const changesLockKey = 7_400_002;

/** Rows that one read of the feed takes. */
export const pageSize = 500;

/** A row of the feed. */
export interface StoredChange extends Change {
  readonly seq: number;
  /** In milliseconds since the epoch. */
  readonly createdAtMs: number;
}

/**
 * Whether nothing is missing between the last row that was read and what is
 * read from its place on, itself included: rows are removed from the oldest on.
 */
export function isUnbroken(last: StoredChange | undefined, [first]: readonly StoredChange[]): boolean {
  if (last === undefined) return first === undefined || first.seq === 1;
  return first !== undefined && isSameChange(first, last);
}

/** Whether two rows are one: after a restore another change may get a place that was taken. */
function isSameChange(one: StoredChange, other: StoredChange): boolean {
  return (
    one.seq === other.seq &&
    one.topic === other.topic &&
    one.subject === other.subject &&
    one.createdAtMs === other.createdAtMs
  );
}

/**
 * Writes changes and returns their places in the feed.
 *
 * Places are handed out when a row is written, not when it commits, and a
 * follower that has read place 8 never looks for 7 again. So on Postgres the
 * transaction first takes a lock that it holds until it ends: the order of
 * places is the order of commits. SQLite has one writer and needs none.
 */
export async function insertChanges(tx: Tx, changes: readonly Change[], createdAt: Date): Promise<number[]> {
  await lockForTransaction(tx, changesLockKey);
  const created_at = createdAt.getTime();
  const rows = await tx
    .insertInto("changes")
    .values(changes.map(({ topic, subject }) => ({ topic, subject, created_at })))
    .returning("seq")
    .execute();
  await notify(tx, changesChannel);
  return rows.map(({ seq }) => seq);
}

const selectFrom = prepared((database, { seq }: { seq: number }) =>
  database
    .selectFrom("changes")
    .select(["seq", "topic", "subject", "created_at as createdAtMs"])
    .where("seq", ">=", seq)
    .orderBy("seq")
    .limit(pageSize),
);

/** The rows from place `seq` on, itself included, at most {@link pageSize}. */
export async function listChangesFrom(reader: Reader, seq: number): Promise<StoredChange[]> {
  const rows = await selectFrom.all(reader, { seq });
  return rows.map((row) => ({ ...row, topic: row.topic as ChangeTopic }));
}

/** The newest row, if anything has ever changed. */
export async function findLastChange(reader: Reader): Promise<StoredChange | undefined> {
  const row = await reader
    .selectFrom("changes")
    .select(["seq", "topic", "subject", "created_at as createdAtMs"])
    .orderBy("seq", "desc")
    .limit(1)
    .executeTakeFirst();
  return row && { ...row, topic: row.topic as ChangeTopic };
}

/**
 * Removes what was written before `horizon`, except the newest such row: it is
 * where a follower stands that has seen all of them and nothing newer.
 */
export async function deleteChangesBefore(tx: Tx, horizon: Date): Promise<number> {
  const newestOld = tx
    .selectFrom("changes")
    .select((eb) => eb.fn.max("seq").as("seq"))
    .where("created_at", "<", horizon.getTime());
  const result = await tx.deleteFrom("changes").where("seq", "<", newestOld).executeTakeFirst();
  return Number(result.numDeletedRows);
}
