/**
 * The sweep of frontdoors: removes by and by what deleted ones leave, old
 * changes, idempotency keys and keys that expired long ago.
 */
import type { Database } from "../db/database.ts";
import { createExpirySweep, sweepInBatches } from "../db/sweep.ts";
import type { Clock } from "../lib/clock.ts";
import { deleteExpiredApiKeys } from "./api-keys/store.ts";
import { removeFromDeletedFrontdoor } from "./deleted-frontdoor-store.ts";
import { deleteExpiredIdempotencyKeys } from "./providers/idempotency-store.ts";
import { deleteOldChanges } from "./watch/store.ts";

/** @see the head of this file */
export function createFrontdoorSweep(
  database: Pick<Database, "transaction">,
  clock: Clock,
): () => Promise<number> {
  const removals = [deleteOldChanges, deleteExpiredIdempotencyKeys, deleteExpiredApiKeys];
  const removeOld = createExpirySweep(database, clock, ...removals);
  return async () => {
    const removed = await removeOld();
    await sweepInBatches(database, async (tx, limit) =>
      (await removeFromDeletedFrontdoor(tx, limit)) ? limit : 0,
    );
    return removed;
  };
}
