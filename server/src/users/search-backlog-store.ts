/** Who was stored and is not found by their texts yet. */
import { removeSameKeyed } from "../db/carried-rows.ts";
import type { Reader, Tx } from "../db/database.ts";
import { forUpdate } from "../db/dialect.ts";
import { insertRows } from "../db/insert-rows.ts";
import type { SearchBacklogRow } from "../db/schema.ts";
import { addSearches } from "../db/search-prefixes.ts";
import { clockSlackMs } from "../lib/clock.ts";
import { findManyUsers } from "./many-store.ts";
import { toSearchable, toUser } from "./store.ts";
import type { User } from "./user.ts";

/** How long whoever has stored people is left to see to them, in milliseconds. */
const leftMs = 600_000;

/** Notes that users may lack some of what they are found by. */
export async function noteUnsearched(tx: Tx, rows: readonly SearchBacklogRow[]): Promise<void> {
  await insertRows(tx, "search_backlog", { at: "integer", id: "text" }, rows);
}

/** Notes that users lack nothing any more. */
export async function deleteUnsearched(tx: Tx, rows: readonly SearchBacklogRow[]): Promise<void> {
  const columns = [{ name: "at", type: "integer" } as const, { name: "id", type: "text" } as const];
  const table = { name: "search_backlog", columns, key: ["at", "id"] };
  await removeSameKeyed(
    tx,
    table,
    rows.map(({ at, id }) => [at, id]),
  );
}

/** Some of the backlog, and those of them who are still users. */
export interface Unsearched {
  readonly rows: readonly SearchBacklogRow[];
  readonly users: readonly User[];
}

/** The backlog until an instant, behind one of its rows. */
export async function listUnsearched(
  reader: Reader,
  after: SearchBacklogRow,
  until: Date,
  limit: number,
): Promise<Unsearched> {
  const rows = await reader
    .selectFrom("search_backlog")
    .selectAll()
    .where(({ eb, refTuple, tuple }) => eb(refTuple("at", "id"), ">", tuple(after.at, after.id)))
    .where("at", "<=", until.getTime())
    .orderBy("at")
    .orderBy("id")
    .limit(limit)
    .execute();
  const ids = rows.map(({ id }) => id);
  return { rows, users: [...(await findManyUsers(reader, "id", ids)).values()] };
}

/**
 * Adds what users are found by who lack some of it, as they are now: up to
 * `limit` of those who were stored until `until`. Answers how many there were.
 */
export async function finishSearches(tx: Tx, until: Date, limit: number): Promise<number> {
  return await finish(tx, "<=", until.getTime(), limit);
}

async function finish(tx: Tx, side: "<=" | ">", at: number, limit: number): Promise<number> {
  const unsearched = await tx
    .selectFrom("search_backlog")
    .selectAll()
    .where("at", side, at)
    .orderBy("at")
    .orderBy("id")
    .limit(limit)
    .$call(forUpdate(tx))
    .execute();
  if (unsearched.length === 0) return 0;
  const ids = unsearched.map(({ id }) => id);
  const query = tx.selectFrom("users").selectAll().where("id", "in", ids).orderBy("id");
  const users = await query.$call(forUpdate(tx)).execute();
  await addSearches(
    tx,
    "user",
    users.map((row) => toSearchable(toUser(row))),
  );
  await deleteUnsearched(tx, unsearched);
  return unsearched.length;
}

/**
 * As {@link finishSearches}, for those whom an import has left that did not come
 * to its end, or noted by a clock that ran ahead.
 */
export async function finishOldSearches(tx: Tx, now: Date, limit: number): Promise<number> {
  const old = await finish(tx, "<=", now.getTime() - leftMs, limit);
  return old + (await finish(tx, ">", now.getTime() + clockSlackMs, limit - old));
}
