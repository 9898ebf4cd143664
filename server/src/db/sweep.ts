/** Sweeps: removal of expired rows in small transactions that hold nobody up. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../lib/clock.ts";
import type { Database, Tx } from "./database.ts";

/**
 * How long a transaction of a sweep is to take, in milliseconds: on SQLite
 * nothing else is done meanwhile, and two sweeps may share a commit.
 */
const aimedMs = 6;

/**
 * Rows that one transaction takes. Never so few that it costs less than the
 * commit it waits for: where the disk alone takes 15 ms, the fewest are still
 * 2 000 a second.
 */
const fewestRows = 32;
export const mostRows = 160;

/** How long a sweep rests after a batch, in times of what the batch took: it uses a quarter of the time. */
const restFactor = 3;

/**
 * But never so long that it falls behind this pace: a busy server makes 2 000
 * audit records a second, and they are removed as fast as they were made.
 */
const rowsPerMs = 4;
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
 * for one batch, which has as many rows as this host removes in some
 * milliseconds: after a slow one the next is smaller at once, and grows to
 * twice its size at most. The more there is to do besides, the slower the
 * sweep; not slower, though, than a busy server makes rows.
 *
 * @param removeBatch removes up to `limit` rows in a transaction of its own, and answers how many there were.
 * @returns how many there were altogether
 */
export async function sweepInBatches(
  removeBatch: (limit: number) => Promise<number>,
  { monotonicMs, rest }: SweepPace = ownPace,
): Promise<number> {
  for (let total = 0, limit = fewestRows; ; ) {
    const startedAtMs = monotonicMs();
    const removed = await removeBatch(limit);
    total += removed;
    if (removed < limit) return total;
    const tookMs = monotonicMs() - startedAtMs;
    await rest(Math.max(shortestRestMs, Math.min(tookMs * restFactor, limit / rowsPerMs - tookMs)));
    limit = toNextLimit(limit, tookMs);
  }
}

function toNextLimit(limit: number, tookMs: number): number {
  const growth = Math.min(2, aimedMs / tookMs);
  return Math.max(fewestRows, Math.min(mostRows, Math.floor(limit * growth)));
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
