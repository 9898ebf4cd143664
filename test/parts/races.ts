/** Calls that race for a user's row, in a known order. */
import { sql } from "kysely";
import { expect } from "vitest";
import { lockUser } from "../../server/src/users/store.ts";
import type { DatabaseUnderTest } from "./databases.ts";
import { eventually } from "./eventually.ts";

/**
 * Starts one after the other so that all have looked and none has acted: on Postgres while the
 * user's row is held, for which they wait in this order; one that does not wait for it fails the
 * test. SQLite runs one transaction at a time.
 */
export async function raceForUser(
  under: DatabaseUnderTest,
  userId: string,
  starts: readonly (() => Promise<unknown>)[],
): Promise<PromiseSettledResult<unknown>[]> {
  const { database, dialect } = under;
  if (dialect === "sqlite") return await Promise.allSettled(starts.map((start) => start()));
  const started: Promise<PromiseSettledResult<unknown>[]>[] = [];
  // A handle of its own: what is begun inside of a transaction of one is part of it.
  const holder = await under.openAnother();
  await holder.transaction(async (tx) => {
    await lockUser(tx, userId);
    for (const start of starts) {
      started.push(Promise.allSettled([start()]));
      await eventually(async () => {
        const waiting = await sql`select 1 from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock'`.execute(database.reader);
        expect(waiting.rows).toHaveLength(started.length);
      });
    }
  });
  return (await Promise.all(started)).flat();
}
