/** Tells people of tokens that they have not used for long: what nobody needs only waits to be stolen. */
import type { Database } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import { takeUnused, type UnusedToken } from "./store.ts";

/** How many are told in one transaction; the others a minute later. */
const perRun = 100;

/** Where unused tokens are looked for, and who tells of them. */
export interface UnusedOptions {
  readonly database: Pick<Database, "transaction">;
  readonly clock: Clock;
  /** Best effort: must not throw. */
  readonly onUnused: (token: UnusedToken) => void;
}

/** Makes what tells, once for each time that a token goes unused, whichever process comes first. */
export function createTellUnused({ database, clock, onUnused }: UnusedOptions): () => Promise<void> {
  return async () => {
    const unused = await database.transaction((tx) => takeUnused(tx, clock.now(), perRun));
    for (const token of unused) onUnused(token);
  };
}
