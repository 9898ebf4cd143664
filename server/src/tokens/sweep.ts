import type { Sweep } from "../assembly/upkeep.ts";
import type { Database } from "../db/database.ts";
import { createExpirySweep } from "../db/sweep.ts";
import type { Clock } from "../lib/clock.ts";
import { deleteUsedAssertions } from "./assertion-store.ts";
import { deleteRevokedTokens } from "./revocation-store.ts";

/** How long rows outlive their use, in milliseconds: clocks of other processes may be behind. */
const spareMs = 3_600_000;

/** Makes what removes revocations and used assertions that have expired by themselves. */
export function createTokenSweeps(database: Pick<Database, "transaction">, clock: Clock): readonly Sweep[] {
  const lateClock = { now: () => new Date(clock.now().getTime() - spareMs) };
  return [
    { kind: "used_assertions", run: createExpirySweep(database, lateClock, deleteUsedAssertions) },
    { kind: "revoked_tokens", run: createExpirySweep(database, lateClock, deleteRevokedTokens) },
  ];
}
