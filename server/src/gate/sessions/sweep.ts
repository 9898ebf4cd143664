/** The sweep of sessions at frontends: those that are over, and those whose frontend or provider is gone. */
import type { Database } from "../../db/database.ts";
import { createExpirySweep, sweepInBatches } from "../../db/sweep.ts";
import type { Clock } from "../../lib/clock.ts";
import { deleteExpiredGateSessions, deleteOrphans, findOrphans } from "./store.ts";

/** @see the head of this file */
export function createGateSessionSweep(database: Database, clock: Clock): () => Promise<number> {
  const removeOld = createExpirySweep(database, clock, deleteExpiredGateSessions);
  return async () => {
    let removed = await removeOld();
    for (const orphans of await findOrphans(database.reader)) {
      removed += await sweepInBatches(database, (tx, limit) => deleteOrphans(tx, orphans, limit));
    }
    return removed;
  };
}
