import type { Reader, Tx } from "../db/database.ts";
import { prepared } from "../db/prepared.ts";
import { removeRows } from "../db/remove-rows.ts";
import type { BucketCount } from "./window-counts.ts";

const addCount = prepared(
  (database, values: { key: string; bucketAtMs: number; count: number; updatedAtMs: number }) =>
    database
      .insertInto("rate_counts")
      .values({
        key: values.key,
        bucket_at: values.bucketAtMs,
        count: values.count,
        updated_at: values.updatedAtMs,
      })
      .onConflict((conflict) =>
        conflict.columns(["key", "bucket_at"]).doUpdateSet((eb) => ({
          count: eb("rate_counts.count", "+", eb.ref("excluded.count")),
          updated_at: eb.ref("excluded.updated_at"),
        })),
      )
      .returning("count"),
);

/**
 * Adds counts to their buckets and answers what each holds then, in the same
 * order. Rows are taken in the order of their keys, so that two processes
 * never wait for each other crosswise.
 */
export async function addCounts(tx: Tx, counts: readonly BucketCount[], now: Date): Promise<number[]> {
  const order = counts.map((count, index) => ({ ...count, index }));
  order.sort((a, b) => (a.key === b.key ? a.bucketAtMs - b.bucketAtMs : a.key < b.key ? -1 : 1));
  const totals = new Array<number>(counts.length).fill(0);
  for (const { index, ...count } of order) {
    const row = await addCount.first(tx, { ...count, updatedAtMs: now.getTime() });
    totals[index] = row?.count ?? count.count;
  }
  return totals;
}

/** Rows that one read of the counts takes. */
export const countsPerRead = 1000;

const selectUpdated = prepared((database, { sinceMs }: { sinceMs: number }) =>
  database
    .selectFrom("rate_counts")
    .select(["key", "bucket_at", "count", "updated_at"])
    .where("updated_at", ">=", sinceMs)
    .orderBy("updated_at")
    .limit(countsPerRead),
);

/** Buckets that changed at or after an instant, the longest unchanged first, at most {@link countsPerRead}. */
export async function findCountsUpdatedSince(
  reader: Reader,
  since: Date,
): Promise<(BucketCount & { readonly updatedAt: Date })[]> {
  const rows = await selectUpdated.all(reader, { sinceMs: since.getTime() });
  return rows.map(({ key, bucket_at, count, updated_at }) => ({
    key,
    bucketAtMs: bucket_at,
    count,
    updatedAt: new Date(updated_at),
  }));
}

/**
 * Removes up to `limit` buckets that have not changed since `from`, or have after
 * `to`: those are of a clock that ran ahead. Answers how many there were.
 */
export async function deleteCountsOutside(tx: Tx, from: Date, to: Date, limit: number): Promise<number> {
  return await removeRows(
    tx,
    {
      table: "rate_counts",
      key: ["key", "bucket_at"],
      where: ({ eb, or }) => or([eb("updated_at", "<", from.getTime()), eb("updated_at", ">", to.getTime())]),
    },
    limit,
  );
}
