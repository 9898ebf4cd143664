import type { Database } from "../db/database.ts";
import { sweepInBatches } from "../db/sweep.ts";
import type { Clock } from "../lib/clock.ts";
import { deleteUsedAssertions } from "./assertion-store.ts";
import { deleteRevokedTokens } from "./revocation-store.ts";

/** How long rows outlive their use, in milliseconds: clocks of other processes may be behind. */
const spareMs = 3_600_000;

/** Makes what removes revocations and used assertions that have expired by themselves. */
export function createTokenSweep(database: Pick<Database, "transaction">, clock: Clock): () => Promise<void> {
  return async () => {
    const horizon = new Date(clock.now().getTime() - spareMs);
    for (const remove of [deleteUsedAssertions, deleteRevokedTokens]) {
      await sweepInBatches((limit) => database.transaction((tx) => remove(tx, horizon, limit)));
    }
  };
}
