/**
 * The sweep of frontdoors: removes by and by what deleted ones leave, old
 * changes, idempotency keys and keys that expired long ago.
 */
import type { Database } from "../db/database.ts";
import { sweepInBatches } from "../db/sweep.ts";
import type { Clock } from "../lib/clock.ts";
import { deleteApiKeysExpiredBefore } from "./api-keys/store.ts";
import { removeFromDeletedFrontdoor } from "./deleted-frontdoor-store.ts";
import { deleteIdempotencyKeysBefore } from "./providers/idempotency-store.ts";
import { deleteChangesBefore } from "./watch/store.ts";

/** How long a stream may be away and still go on where it was, in milliseconds. */
const changesKeptMs = 3_600_000;

/** How long an expired key is kept to be looked at, in milliseconds. */
const expiredKeysKeptMs = 90 * 86_400_000;

/**
 * Makes what removes old changes, expired keys, Idempotency-Keys that stand for
 * nothing any more, and what deleted frontdoors held.
 */
export function createFrontdoorSweep(
  database: Pick<Database, "transaction">,
  clock: Clock,
): () => Promise<number> {
  return async () => {
    const before = (ms: number) => new Date(clock.now().getTime() - ms);
    const sweeps = [
      [deleteChangesBefore, before(changesKeptMs)],
      [deleteIdempotencyKeysBefore, before(0)],
      [deleteApiKeysExpiredBefore, before(expiredKeysKeptMs)],
    ] as const;
    let total = 0;
    for (const [remove, horizon] of sweeps) {
      total += await sweepInBatches((limit) => database.transaction((tx) => remove(tx, horizon, limit)));
    }
    await sweepInBatches((limit) =>
      database.transaction(async (tx) => ((await removeFromDeletedFrontdoor(tx, limit)) ? limit : 0)),
    );
    return total;
  };
}
