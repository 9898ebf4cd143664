/** Sweeps: removal of expired rows in small transactions that hold nobody up. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../lib/clock.ts";
import type { Database, Tx } from "./database.ts";

/**
 * Rows that one transaction of a sweep takes: some milliseconds' worth, so that
 * it costs more than the commit it waits for.
 */
export const rowsPerBatch = 160;

/** How long a sweep rests after a batch, in times of what the batch took: it uses a quarter of the time. */
const restFactor = 3;

/**
 * But never so long that it falls behind this pace: a busy server makes 2 000
 * audit records a second, and they are removed as fast as they were made. In
 * milliseconds from one batch to the next, and of rest at least.
 */
const longestCycleMs = 40;
const shortestRestMs = 1;

/** Clock and pause of a sweep. For tests. */
export interface SweepPace {
  /** Milliseconds of a clock that never goes back. */
  readonly monotonicMs: () => number;
  readonly rest: (ms: number) => Promise<void>;
}

const ownPace: SweepPace = { monotonicMs: () => performance.now(), rest: (ms) => sleep(ms) };

/**
 * Removes rows batch by batch until none are left. Nobody waits longer than
 * for one batch, and the more there is to do besides, the slower the sweep;
 * not slower, though, than a busy server makes rows.
 *
 * @param removeBatch removes up to `limit` rows in a transaction of its own, and answers how many there were.
 * @returns how many there were altogether
 */
export async function sweepInBatches(
  removeBatch: (limit: number) => Promise<number>,
  { monotonicMs, rest }: SweepPace = ownPace,
): Promise<number> {
  for (let total = 0; ; ) {
    const startedAtMs = monotonicMs();
    const removed = await removeBatch(rowsPerBatch);
    total += removed;
    if (removed < rowsPerBatch) return total;
    const tookMs = monotonicMs() - startedAtMs;
    await rest(Math.max(shortestRestMs, Math.min(tookMs * restFactor, longestCycleMs - tookMs)));
  }
}

/** Removes up to `limit` rows that are over at `now`, and answers how many there were. */
export type RemoveExpired = (tx: Tx, now: Date, limit: number) => Promise<number>;

/** Makes a sweep of tables whose rows say themselves when they are over. */
export function createExpirySweep(
  database: Pick<Database, "transaction">,
  clock: Clock,
  ...removals: readonly RemoveExpired[]
): () => Promise<number> {
  return async () => {
    let total = 0;
    for (const remove of removals) {
      total += await sweepInBatches((limit) => database.transaction((tx) => remove(tx, clock.now(), limit)));
    }
    return total;
  };
}
