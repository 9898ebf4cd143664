/** Sweeps: removal of expired rows in small transactions that hold nobody up. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../lib/clock.ts";
import type { Database, Tx } from "./database.ts";

/**
 * How long the statement of a batch is to take, in milliseconds. On SQLite
 * nothing else is done meanwhile, nor while what it has changed is written,
 * which may take as long again, and two sweeps may share a commit. What the
 * disk takes besides is the same for one row as for all of them.
 */
const aimedMs = 4;

/** Rows that one transaction takes: never so few that it costs less than the commit it waits for. */
const fewestRows = 32;
export const mostRows = 160;

/** How long a sweep rests after a batch, in times of what the batch took: it uses a quarter of the time. */
const restFactor = 3;

/**
 * But never so long that it falls behind this pace: a busy server makes 2 000
 * audit records a second, and they are removed as fast as they were made. And
 * never shorter than the batch: whatever the disk takes, others have half of
 * the time.
 */
const rowsPerMs = 4;

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
 * sweep; not slower, though, than a busy server makes rows, unless it would
 * use more than half of the time.
 *
 * @param remove removes up to `limit` rows, each time in a transaction of its own, and answers how many there were.
 * @returns how many there were altogether
 */
export async function sweepInBatches(
  database: Pick<Database, "transaction">,
  remove: (tx: Tx, limit: number) => Promise<number>,
  { monotonicMs, rest }: SweepPace = ownPace,
): Promise<number> {
  for (let total = 0, limit = fewestRows; ; ) {
    const startedAtMs = monotonicMs();
    const { removed, workMs } = await database.transaction(async (tx) => {
      const beganAtMs = monotonicMs();
      return { removed: await remove(tx, limit), workMs: monotonicMs() - beganAtMs };
    });
    total += removed;
    if (removed < limit) return total;
    const tookMs = monotonicMs() - startedAtMs;
    await rest(Math.max(tookMs, Math.min(tookMs * restFactor, limit / rowsPerMs - tookMs)));
    limit = toNextLimit(limit, workMs);
  }
}

function toNextLimit(limit: number, workMs: number): number {
  const growth = Math.min(2, aimedMs / workMs);
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
      total += await sweepInBatches(database, (tx, limit) => remove(tx, clock.now(), limit));
    }
    return total;
  };
}
