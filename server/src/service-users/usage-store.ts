import type { Reader, Tx } from "../db/database.ts";
import { dialectOf, forUpdate } from "../db/dialect.ts";
import { removeRows } from "../db/remove-rows.ts";
import { clockSlackMs } from "../lib/clock.ts";

/** Calls of one credential on one day. */
export interface DailyCalls {
  readonly credentialId: string;
  readonly serviceUserId: string;
  /** UTC, `YYYY-MM-DD`. */
  readonly day: string;
  readonly calls: number;
}

/** How many rows one statement takes: both databases bound its parameters. */
const rowsPerStatement = 500;

function* chunksOf<T>(items: readonly T[]): Generator<T[]> {
  for (let start = 0; start < items.length; start += rowsPerStatement) {
    yield items.slice(start, start + rowsPerStatement);
  }
}

/** Adds calls to what is stored. Rows of credentials that are gone are taken as they are. */
export async function addCalls(tx: Tx, counts: readonly DailyCalls[]): Promise<void> {
  for (const chunk of chunksOf(counts)) {
    const rows = chunk.map(({ credentialId, serviceUserId, day, calls }) => ({
      credential_id: credentialId,
      service_user_id: serviceUserId,
      day,
      calls,
    }));
    await tx
      .insertInto("service_user_usage")
      .values(rows)
      .onConflict((conflict) =>
        conflict.columns(["service_user_id", "credential_id", "day"]).doUpdateSet((eb) => ({
          calls: eb("service_user_usage.calls", "+", eb.ref("excluded.calls")),
        })),
      )
      .execute();
  }
}

/**
 * Locks service users in the order of their ids, as whoever deletes them does:
 * an update takes its rows as it finds them, and two that go opposite ways
 * would wait for each other in a circle.
 */
export async function lockServiceUsers(tx: Tx, ids: readonly string[]): Promise<void> {
  if (dialectOf(tx) === "sqlite") return;
  for (const chunk of chunksOf(ids.toSorted())) {
    await tx
      .selectFrom("service_users")
      .select("id")
      .where("id", "in", chunk)
      .orderBy("id")
      .$call(forUpdate(tx))
      .execute();
  }
}

/**
 * Moves the last use of rows forward to `at`, but only of those that were last
 * used before `staleBefore`, for a busy one is not written each time, or ahead
 * of a clock that has been set back.
 */
export async function touchLastUsed(
  tx: Tx,
  table: "service_users" | "service_user_credentials",
  ids: readonly string[],
  at: Date,
  staleBefore: Date,
): Promise<void> {
  for (const chunk of chunksOf(ids)) {
    await tx
      .updateTable(table)
      .set({ last_used_at: at.getTime() })
      .where("id", "in", chunk)
      .where((eb) =>
        eb.or([
          eb("last_used_at", "is", null),
          eb("last_used_at", "<", staleBefore.getTime()),
          eb("last_used_at", ">", at.getTime() + clockSlackMs),
        ]),
      )
      .execute();
  }
}

/** Calls of a service user from one day to another, both included: by credential, oldest day first. */
export async function findCalls(
  reader: Reader,
  serviceUserId: string,
  fromDay: string,
  toDay: string,
): Promise<DailyCalls[]> {
  const rows = await reader
    .selectFrom("service_user_usage")
    .selectAll()
    .where("service_user_id", "=", serviceUserId)
    .where("day", ">=", fromDay)
    .where("day", "<=", toDay)
    .orderBy("credential_id")
    .orderBy("day")
    .execute();
  return rows.map(({ credential_id, service_user_id, day, calls }) => ({
    credentialId: credential_id,
    serviceUserId: service_user_id,
    day,
    calls,
  }));
}

/** Removes up to `limit` rows of days before `from` or after `to`, and answers how many there were. */
export async function deleteCallsOutside(tx: Tx, from: string, to: string, limit: number): Promise<number> {
  return await removeRows(
    tx,
    {
      table: "service_user_usage",
      key: ["service_user_id", "credential_id", "day"],
      where: ({ eb, or }) => or([eb("day", "<", from), eb("day", ">", to)]),
    },
    limit,
  );
}
