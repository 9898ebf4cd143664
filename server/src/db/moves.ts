/**
 * Where a database stands while it is copied to another place. A row in each of
 * the two, which no copy carries, keeps servers off the one that is not whole
 * yet, and off the one that was left: at no moment are both served.
 */
import { sql } from "kysely";
import type { Reader, Tx } from "./database.ts";
import { dialectOf, limitLockWaits } from "./dialect.ts";
import { DatabaseRefusedError } from "./errors.ts";
import type { MoveRow } from "./schema.ts";
import type { TableShape } from "./table-shapes.ts";

/** A copy that one of its two databases takes part in. */
export interface Move {
  /** The same in both. */
  readonly copyId: string;
  /** `leaving`: it is copied, and served; `moved`: it is not served any more; `arriving`: not yet. */
  readonly state: MoveRow["state"];
  /** The other database. */
  readonly place: string;
  readonly at: Date;
}

/** Finds the copy that a database takes part in, of whatever version it is; undefined if there is none. */
export async function findMove(reader: Reader): Promise<Move | undefined> {
  if (!(await hasTable(reader))) return undefined;
  const row = await reader.selectFrom("moves").selectAll().executeTakeFirst();
  return row && { copyId: row.copy_id, state: row.state, place: row.place, at: new Date(row.at) };
}

async function hasTable(reader: Reader): Promise<boolean> {
  const query =
    dialectOf(reader) === "sqlite"
      ? sql<{ n: number }>`select count(*) as n from sqlite_schema where type = 'table' and name = 'moves'`
      : sql<{ n: number }>`select count(*) as n from information_schema.tables
          where table_schema = current_schema() and table_name = 'moves'`;
  const { rows } = await query.execute(reader);
  return Number(rows[0]?.n) > 0;
}

/** Writes it down, in place of one before. */
export async function noteMove(tx: Tx, { copyId, state, place, at }: Move): Promise<void> {
  await endMove(tx);
  await tx.insertInto("moves").values({ id: 1, copy_id: copyId, state, place, at: at.getTime() }).execute();
}

/** Forgets it: the database is one as any other. */
export async function endMove(tx: Tx): Promise<void> {
  await tx.deleteFrom("moves").execute();
}

/**
 * Keeps everybody else from ending a copy until the transaction ends.
 *
 * @returns whether the database still takes part in that copy, and stands where it is said to
 */
export async function holdMove(tx: Tx, { copyId, state }: Pick<Move, "copyId" | "state">): Promise<boolean> {
  const result = await tx
    .updateTable("moves")
    .set({ state })
    .where("copy_id", "=", copyId)
    .where("state", "=", state)
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}

/** @throws DatabaseRefusedError for a database that no server may be on */
export async function refuseMoved(reader: Reader): Promise<void> {
  const move = await findMove(reader);
  if (move?.state === "moved") {
    throw new DatabaseRefusedError(
      `the database was moved to ${move.place} at ${move.at.toISOString()}: start servers with that address, ` +
        "or take it back (vestibule copy --take-back)",
    );
  }
  if (move?.state === "arriving") {
    throw new DatabaseRefusedError(
      `the database is a copy of ${move.place} that is not finished: run vestibule copy there again, ` +
        "or begin with an empty database",
    );
  }
}

const trigger = "vestibule_moved";

/** Refuses all that is written to these tables from the commit on, by whomever (SQLSTATE 57000, as unavailable). */
export async function refuseWrites(tx: Tx, tables: readonly TableShape[]): Promise<void> {
  if (dialectOf(tx) === "postgres") {
    await sql`create function ${sql.ref(trigger)}() returns trigger language plpgsql
      as $$ begin raise exception 'the database was moved' using errcode = '57000'; end $$`.execute(tx);
    for (const { name } of tables) {
      await sql`create trigger ${sql.ref(trigger)} before insert or update or delete or truncate
        on ${sql.table(name)} for each statement execute function ${sql.ref(trigger)}()`.execute(tx);
    }
    return;
  }
  for (const { name } of tables) {
    for (const event of ["insert", "update", "delete"]) {
      await sql`create trigger ${sql.ref(`${trigger}_${event}_${name}`)} before ${sql.raw(event)}
        on ${sql.table(name)} begin select raise(abort, 'the database was moved'); end`.execute(tx);
    }
  }
}

/** Takes back {@link refuseWrites}. */
export async function allowWrites(tx: Tx): Promise<void> {
  if (dialectOf(tx) === "postgres") {
    await sql`drop function if exists ${sql.ref(trigger)}() cascade`.execute(tx);
    return;
  }
  const { rows } = await sql<{ name: string }>`
    select name from sqlite_schema where type = 'trigger' and name like ${`${trigger}~_%`} escape '~'`.execute(
    tx,
  );
  for (const { name } of rows) await sql`drop trigger ${sql.ref(name)}`.execute(tx);
}

/** Keeps everybody from writing to these tables until the transaction ends; reads go on. SQLite has one writer anyway. */
export async function lockTables(tx: Tx, tables: readonly TableShape[], waitMs: number): Promise<void> {
  if (dialectOf(tx) === "sqlite") return;
  // Shorter than Postgres waits before it looks for a deadlock, of which a server's transaction might be the victim.
  await limitLockWaits(tx, waitMs);
  const list = sql.join(tables.map(({ name }) => sql.table(name)));
  await sql`lock table ${list} in exclusive mode`.execute(tx);
  await limitLockWaits(tx, 0);
}
