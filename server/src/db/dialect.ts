import { type Kysely, PostgresAdapter, type SelectQueryBuilder, sql } from "kysely";
import { liftTimeoutsStatement } from "./postgres-dialect.ts";

/**
 * Differences between the two databases, each in one helper.
 *
 * Everything else that stores write must mean the same on both.
 */

/** Tells which database a handle belongs to. */
export function dialectOf<S>(database: Kysely<S>): "sqlite" | "postgres" {
  return database.getExecutor().adapter instanceof PostgresAdapter ? "postgres" : "sqlite";
}

/**
 * Locks the selected rows until the transaction ends: `query.$call(forUpdate(tx))`.
 * SQLite runs one transaction at a time and needs no row locks.
 */
export function forUpdate<S>(
  tx: Kysely<S>,
): <DB, TB extends keyof DB, O>(query: SelectQueryBuilder<DB, TB, O>) => SelectQueryBuilder<DB, TB, O> {
  const isPostgres = dialectOf(tx) === "postgres";
  return (query) => (isPostgres ? query.forUpdate() : query);
}

/**
 * Makes transactions that take the same lock wait for each other until they
 * end. SQLite runs one transaction at a time anyway.
 *
 * @param key any whole number below 2^53, agreed upon by its users.
 */
export async function lockForTransaction<S>(tx: Kysely<S>, key: number): Promise<void> {
  if (dialectOf(tx) === "sqlite") return;
  await sql`select pg_advisory_xact_lock(${sql.lit(key)})`.execute(tx);
}

/** Lets the statements of this transaction take as long as they need. SQLite has no time-out. */
export async function liftTimeouts<S>(tx: Kysely<S>): Promise<void> {
  if (dialectOf(tx) === "sqlite") return;
  await sql.raw(liftTimeoutsStatement).execute(tx);
}

/**
 * Bounds how long statements of this transaction wait for another's lock, in
 * milliseconds; then they fail, see `isLockRefused`. SQLite has one writer.
 */
export async function limitLockWaits<S>(tx: Kysely<S>, ms: number): Promise<void> {
  if (dialectOf(tx) === "sqlite") return;
  await sql`set local lock_timeout = ${sql.lit(ms)}`.execute(tx);
}

/** Wakes other processes' `listen` when the transaction commits. On SQLite they poll. */
export async function notify<S>(tx: Kysely<S>, channel: string): Promise<void> {
  if (dialectOf(tx) === "sqlite") return;
  await sql`select pg_notify(${channel}, '')`.execute(tx);
}

/**
 * Has an SQLite file's writer keep as many KiB of pages in memory as that from
 * now on: much is about to be written all over the file.
 */
export async function keepPages<S>(tx: Kysely<S>, kib: number): Promise<void> {
  if (dialectOf(tx) === "sqlite") await sql.raw(`pragma cache_size = -${kib}`).execute(tx);
}
