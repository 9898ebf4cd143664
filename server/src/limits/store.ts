/** Rows of what strangers did: counts by buckets of a window, events of a rolling one, and clients that were good. */
import { z } from "zod";
import type { Reader, Tx } from "../db/database.ts";
import { dialectOf } from "../db/dialect.ts";
import { jsonColumn } from "../db/json-column.ts";
import { prepared } from "../db/prepared.ts";
import { removeOld, removeRows } from "../db/remove-rows.ts";
import { clockSlackMs } from "../lib/clock.ts";
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

/** A counted key, and how often it may be counted within the window. */
export interface RollingLimit {
  readonly key: string;
  readonly limit: number;
}

/** Milliseconds since the epoch: they are only ever compared. */
const eventsColumn = jsonColumn<readonly number[]>("rolling_counts.events", z.array(z.int()));

/**
 * Events of a key, oldest first. One statement makes the row or locks it until
 * `tx` ends, so that none is swept in between.
 */
async function lockEvents(tx: Tx, key: string, expiresAt: number): Promise<readonly number[]> {
  const row = await tx
    .insertInto("rolling_counts")
    .values({ key, events: "[]", expires_at: expiresAt })
    .onConflict((conflict) =>
      conflict.column("key").doUpdateSet((eb) => ({ expires_at: eb.ref("excluded.expires_at") })),
    )
    .returning("events")
    .executeTakeFirstOrThrow();
  return eventsColumn.decode(row.events);
}

async function writeEvents(tx: Tx, key: string, events: readonly number[], windowMs: number): Promise<void> {
  await tx
    .updateTable("rolling_counts")
    .set({ events: eventsColumn.encode(events), expires_at: (events.at(-1) ?? 0) + windowMs })
    .where("key", "=", key)
    .execute();
}

/** Of keys: one order for all, so that two transactions never wait for each other crosswise. */
function inLockOrder(one: string, other: string): number {
  return one < other ? -1 : 1;
}

/**
 * Counts one event for each of the limits, or for none if one of them is used
 * up. Concurrent calls wait for each other: no more than the limit succeed.
 *
 * What was counted by a clock that ran ahead counts as of now: it is forgotten
 * a window later, and not before.
 *
 * @returns the first limit that is used up; undefined when the event counts.
 */
export async function takeEvents<L extends RollingLimit>(
  tx: Tx,
  limits: readonly L[],
  now: Date,
  windowMs: number,
): Promise<L | undefined> {
  const at = now.getTime();
  const counted: { key: string; events: number[] }[] = [];
  for (const limited of limits.toSorted((a, b) => inLockOrder(a.key, b.key))) {
    const stored = await lockEvents(tx, limited.key, at + windowMs);
    const isAhead = (event: number) => event > at + clockSlackMs;
    const events = stored
      .filter((event) => event > at - windowMs)
      .map((event) => (isAhead(event) ? at : event));
    if (events.length >= limited.limit) {
      if (stored.some(isAhead)) await writeEvents(tx, limited.key, events, windowMs);
      return limited;
    }
    counted.push({ key: limited.key, events: [...events, at].toSorted((a, b) => a - b) });
  }
  for (const { key, events } of counted) await writeEvents(tx, key, events, windowMs);
  return undefined;
}

/** Takes an event back that was counted at `at`, for each of the keys. */
export async function giveBackEvent(
  tx: Tx,
  keys: readonly string[],
  at: Date,
  windowMs: number,
): Promise<void> {
  for (const key of keys.toSorted(inLockOrder)) {
    const events = await lockEvents(tx, key, at.getTime() + windowMs);
    const index = events.indexOf(at.getTime());
    if (index >= 0) await writeEvents(tx, key, events.toSpliced(index, 1), windowMs);
  }
}

/** Removes up to `limit` keys whose events have all left the window, and answers how many there were. */
export const deleteStaleCounts = removeOld("rolling_counts", ["key"], "expires_at");

/**
 * Has up to `limit` keys that a clock which ran ahead has left stay for one
 * window more, and answers how many there were. What another transaction holds
 * on Postgres is left to it: whoever counts sets that right.
 */
export async function bringBackCounts(tx: Tx, now: Date, limit: number, windowMs: number): Promise<number> {
  const latestMs = now.getTime() + windowMs;
  const ahead = tx
    .selectFrom("rolling_counts")
    .select("key")
    .where("expires_at", ">", latestMs + clockSlackMs)
    .limit(limit);
  const result = await tx
    .updateTable("rolling_counts")
    .set({ expires_at: latestMs })
    .where("key", "in", dialectOf(tx) === "postgres" ? ahead.forUpdate().skipLocked() : ahead)
    .executeTakeFirst();
  return Number(result.numUpdatedRows);
}

/** A client that has proven itself, and the block of addresses it came from. */
export interface KnownClient {
  readonly block: string;
  readonly clientId: string;
}

/** From how many blocks a client is known: one credential must not fill the table. */
export const blocksPerClient = 20;

/** Notes clients as seen, each from its latest {@link blocksPerClient} blocks. */
export async function upsertKnownClients(
  tx: Tx,
  clients: readonly (KnownClient & { readonly at: Date })[],
): Promise<void> {
  for (const { block, clientId, at } of clients) {
    await tx
      .insertInto("known_clients")
      .values({ block, client_id: clientId, seen_at: at.getTime() })
      .onConflict((conflict) =>
        conflict.columns(["block", "client_id"]).doUpdateSet({ seen_at: at.getTime() }),
      )
      .execute();
    await tx
      .deleteFrom("known_clients")
      .where("client_id", "=", clientId)
      .where("seen_at", "<", (of) =>
        of
          .selectFrom("known_clients")
          .select("seen_at")
          .where("client_id", "=", clientId)
          .orderBy("seen_at", "desc")
          .offset(blocksPerClient - 1)
          .limit(1),
      )
      .execute();
  }
}

/** Ids of the clients that were seen from a block, the latest first. */
export async function findKnownClients(reader: Reader, block: string, limit: number): Promise<string[]> {
  const rows = await reader
    .selectFrom("known_clients")
    .select("client_id")
    .where("block", "=", block)
    .orderBy("seen_at", "desc")
    .limit(limit)
    .execute();
  return rows.map(({ client_id }) => client_id);
}

/** How long a client is known that does not come again. */
const knownForMs = 24 * 3600 * 1000;

/** Removes clients that have not come for a day. */
export const deleteForgottenClients = removeOld(
  "known_clients",
  ["block", "client_id"],
  "seen_at",
  knownForMs,
);
