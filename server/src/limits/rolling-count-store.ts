import { z } from "zod";
import type { Tx } from "../db/database.ts";
import { jsonColumn } from "../db/json-column.ts";
import { removeOld } from "../db/remove-rows.ts";
import { clockSlackMs } from "../lib/clock.ts";

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

/**
 * Counts one event for each of the limits, or for none if one of them is used
 * up. Concurrent calls wait for each other: no more than the limit succeed.
 *
 * What was counted by a clock that ran ahead counts as of now: it is forgotten
 * a window later, and not before.
 *
 * @returns the first limit that is used up; undefined when the event counts.
 */
export async function takeEvents(
  tx: Tx,
  limits: readonly RollingLimit[],
  now: Date,
  windowMs: number,
): Promise<RollingLimit | undefined> {
  const at = now.getTime();
  const counted: { key: string; events: number[] }[] = [];
  // In one order, so that two transactions never wait for each other crosswise.
  for (const limited of limits.toSorted((a, b) => (a.key < b.key ? -1 : 1))) {
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

/** Takes an event back that was counted at `at`. */
export async function giveBackEvent(tx: Tx, key: string, at: Date, windowMs: number): Promise<void> {
  const events = await lockEvents(tx, key, at.getTime() + windowMs);
  const index = events.indexOf(at.getTime());
  if (index >= 0) await writeEvents(tx, key, events.toSpliced(index, 1), windowMs);
}

const deleteExpiredCounts = removeOld("rolling_counts", ["key"], "expires_at");

/**
 * Removes up to `limit` keys whose events have all left the window. Answers how
 * many there were. What a clock that ran ahead has left stays for one window more.
 */
export async function deleteStaleCounts(tx: Tx, now: Date, limit: number, windowMs: number): Promise<number> {
  await tx
    .updateTable("rolling_counts")
    .set({ expires_at: now.getTime() + windowMs })
    .where("expires_at", ">", now.getTime() + windowMs + clockSlackMs)
    .execute();
  return await deleteExpiredCounts(tx, now, limit);
}
