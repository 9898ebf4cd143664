/**
 * Migrations: which there are, which are missing, and applying them in one
 * transaction; and which programs may work on a database that a newer one has
 * migrated. Each migration keeps in its row what the oldest of those is.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { sql } from "kysely";
import { Migrator } from "kysely/migration";
import { isAtLeast, version as ourVersion } from "../lib/version.ts";
import { continueOrderStatement } from "./continued-order.ts";
import type { Database, Reader, Tx } from "./database.ts";
import { dialectOf, liftTimeouts, limitLockWaits, lockForTransaction } from "./dialect.ts";
import { DatabaseRefusedError, isLockRefused, isSqliteBusy, isTableTaken } from "./errors.ts";
import { recordedSchema } from "./migrations/at-once.ts";
import { migrations as ourMigrations, type SchemaMigration } from "./migrations/index.ts";
import { refuseMoved } from "./moves.ts";
import { migrationTable } from "./schema.ts";

const migrationLockTable = "vestibule_migrations_lock";

/** With this migration, rows of others say beside which programs they may be. */
const rulesMigration = "20261130T075513_oldest_programs";

/** Advisory lock of Postgres that migrating processes take. */
const migrationLockKey = 7_400_001;

/** How often a process tries again while others are in the way; on SQLite each try waits by itself. */
const maxAttempts = 30;

/**
 * Postgres: for how long a migration waits for a table at most, and for how
 * long it then lets the others have it, in milliseconds. Whoever asks for a
 * table that a migration waits for queues up behind it, those that only read too.
 */
const lockWaitMs = 500;
const lockPauseMs = 1_000;

/** What {@link migrate} has done and found. */
export interface Migrated {
  /** Names of the migrations that were applied now, oldest first. */
  readonly applied: readonly string[];
  /** Names of those that this program does not know, and may work beside. */
  readonly newer: readonly string[];
}

/**
 * Brings the schema up to date, in one transaction: all migrations that are
 * missing or none. Of processes that start together one migrates, the others
 * wait and find nothing to do. Servers that run go on meanwhile: what holds a
 * table, such as a backup, is not waited for with all others behind, but tried
 * again for some forty seconds. Where a newer program has migrated and this one
 * may work beside that, nothing is done.
 *
 * @param migrations the program's own unless a test says otherwise, as its version.
 * @throws DatabaseRefusedError when a newer version has migrated the database
 *   and this one is too old for that, another program's tables are in the way,
 *   there is no schema for ours or the role may make no tables in it, or the
 *   database was moved or is not whole yet (`moves.ts`).
 */
export async function migrate(
  database: Database,
  migrations: readonly SchemaMigration[] = ourMigrations,
  version: string = ourVersion,
): Promise<Migrated> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await database.transaction((tx) => migrateInside(tx, migrations, version));
    } catch (error) {
      if (isTableTaken(error)) throw refuseTaken(error);
      const isLocked = isLockRefused(error);
      if (attempt >= maxAttempts || !(isLocked || isSqliteBusy(error))) throw error;
      if (isLocked) await sleep(lockPauseMs);
    }
  }
}

function refuseTaken(cause: Error): DatabaseRefusedError {
  return new DatabaseRefusedError(
    `the database has tables of another program (${cause.message}): give vestibule a database or, on Postgres, ` +
      "a schema of its own, first in the search_path of its role",
    { cause },
  );
}

/** Whether the database has no tables at all: never migrated, and nobody else's. */
export async function isEmptyDatabase(database: Database): Promise<boolean> {
  return (await countTables(database.reader, "%")) === 0;
}

/** As {@link isEmptyDatabase}, and nobody migrates it from then on until the transaction ends. */
export async function isEmptyInside(tx: Tx): Promise<boolean> {
  await holdMigrations(tx);
  return (await countTables(tx, "%")) === 0;
}

/** Keeps everybody else from migrating the database, and so from starting on it, until the transaction ends. */
export async function holdMigrations(tx: Tx): Promise<void> {
  await liftTimeouts(tx);
  await lockForTransaction(tx, migrationLockKey);
}

/** What a database lacks and has more than a program, for looking at it without changing it. */
export interface SchemaState {
  /** Whether there are no tables at all. */
  readonly isEmpty: boolean;
  /** The migrations that the next start applies, oldest first. */
  readonly pending: readonly SchemaMigration[];
  /** As in {@link Migrated}. */
  readonly newer: readonly string[];
}

/** Reads what a database lacks. @throws DatabaseRefusedError when a newer version has migrated it and ours is too old. */
export async function getSchemaState(
  reader: Reader,
  migrations: readonly SchemaMigration[] = ourMigrations,
  version: string = ourVersion,
): Promise<SchemaState> {
  const applied = await findApplied(reader);
  const has = new Set(applied.map(({ name }) => name));
  const pending = migrations.filter(({ name }) => !has.has(name));
  const known = new Set(migrations.map(({ name }) => name));
  const newer = applied.filter(({ name }) => !known.has(name));
  if (newer.length > 0) refuseTooNew(newer, pending, version);
  const isEmpty = (await countTables(reader, "%")) === 0;
  return { isEmpty, pending, newer: newer.map(({ name }) => name) };
}

/**
 * Of some migrations, one at least: the oldest program that may serve beside
 * all of them without knowing them, null where none may.
 */
export function findOldestBeside(migrations: readonly Pick<SchemaMigration, "beside">[]): string | null {
  return migrations
    .map(({ beside }) => beside)
    .reduce((oldest, beside) => {
      if (oldest === null || beside === null) return null;
      return isAtLeast(oldest, beside) ? oldest : beside;
    });
}

/** As {@link migrate}, within a transaction that does more. @param migrations a beginning of the program's own */
export async function migrateInside(
  tx: Tx,
  migrations: readonly SchemaMigration[] = ourMigrations,
  version: string = ourVersion,
): Promise<Migrated> {
  await holdMigrations(tx);
  const schema = await findSchema(tx);
  await limitLockWaits(tx, lockWaitMs);
  const { isEmpty, pending, newer } = await getSchemaState(tx, migrations, version);
  await refuseMoved(tx);
  const applied = newer.length > 0 ? [] : pending.map(({ name }) => name);
  if (applied.length > 0) {
    if (isEmpty) await refuseNoRoom(tx);
    const atOnce = isEmpty && migrations === ourMigrations ? findStatements(tx) : undefined;
    if (atOnce === undefined) await applyMissing(tx, migrations, schema);
    else for (const statement of atOnce) await sql.raw(statement).execute(tx);
  }
  // Rows from elsewhere that had no such order before.
  if (dialectOf(tx) === "postgres") await sql.raw(continueOrderStatement).execute(tx);
  return { applied, newer };
}

/** What makes of an empty database what all our migrations do, where that is known. */
function findStatements(tx: Tx): readonly string[] | undefined {
  return dialectOf(tx) === "sqlite" ? recordedSchema : undefined;
}

async function applyMissing(
  tx: Tx,
  migrations: readonly SchemaMigration[],
  schema: string | undefined,
): Promise<void> {
  const dialect = dialectOf(tx);
  const provider = {
    getMigrations: async () =>
      Object.fromEntries(migrations.map(({ name, up }) => [name, { up: () => up(tx, dialect) }])),
  };
  const migrator = new Migrator({
    db: tx,
    provider,
    migrationTableName: migrationTable,
    migrationLockTableName: migrationLockTable,
    // What was merged late is older by name than what a database has had from another release.
    allowUnorderedMigrations: true,
    // Or those of another schema would be taken for ours.
    ...(schema !== undefined && { migrationTableSchema: schema }),
  });
  const { error } = await migrator.migrateToLatest();
  if (error) throw error;
  await keepRules(tx, migrations);
}

/** Also for those that were applied before there were rules; a rule that is there stays. */
async function keepRules(tx: Tx, migrations: readonly SchemaMigration[]): Promise<void> {
  if (!migrations.some(({ name }) => name === rulesMigration)) return;
  for (const { name, beside } of migrations) {
    if (beside === null) continue;
    await sql`update ${sql.table(migrationTable)} set beside = ${beside}
      where name = ${name} and beside is null`.execute(tx);
  }
}

/** @throws DatabaseRefusedError where the first start could make no tables: there is no schema, or the role may not */
export async function refuseNoRoom(reader: Reader): Promise<void> {
  const schema = await findSchema(reader);
  if (schema === undefined) return;
  // The names as they stand in statements.
  const { rows } = await sql<{ role: string; name: string; may: boolean }>`
    select quote_ident(current_user) as role, quote_ident(${schema}) as name,
      has_schema_privilege(${schema}, 'create') as may`.execute(reader);
  const [{ role, name, may } = { role: "", name: "", may: false }] = rows;
  if (may) return;
  throw new DatabaseRefusedError(
    `the role ${role} may make no tables in the schema ${name}: let it (grant create on schema ${name} to ${role}), ` +
      "have it own the database, or give it a schema of its own",
  );
}

/** The schema that our tables are made in; undefined on SQLite. @throws DatabaseRefusedError when there is none */
async function findSchema(reader: Reader): Promise<string | undefined> {
  if (dialectOf(reader) === "sqlite") return undefined;
  const { rows } = await sql<{ name: string | null; path: string }>`
    select current_schema() as name, current_setting('search_path') as path`.execute(reader);
  const [{ name, path } = { name: null, path: "" }] = rows;
  if (name !== null) return name;
  throw new DatabaseRefusedError(
    `there is no schema for the tables: none of the search_path (${path}) exists, or the role may use none of it`,
  );
}

/**
 * The program's migrations up to those of another database, by their names.
 *
 * @throws DatabaseRefusedError for names that are no beginning of ours
 */
export function findMigrations(names: readonly string[]): readonly SchemaMigration[] {
  const known = new Map(ourMigrations.map((migration) => [migration.name, migration]));
  const unknown = names.filter((name) => !known.has(name));
  if (unknown.length > 0) throw refuseUnknown(unknown.map((name) => ({ name, beside: null })));
  return ourMigrations.filter(({ name }) => names.includes(name));
}

/** Names of the migrations that the database has seen, in their order. */
export async function findAppliedNames(reader: Reader): Promise<string[]> {
  return (await findApplied(reader)).map(({ name }) => name);
}

/** A migration as the database has it. */
interface AppliedMigration {
  readonly name: string;
  readonly beside: string | null;
}

async function findApplied(reader: Reader): Promise<AppliedMigration[]> {
  if ((await countTables(reader, migrationTable)) === 0) return [];
  // All columns, for the one of the rules may not be there yet.
  const { rows } = await sql<{
    name: string;
    beside?: string | null;
  }>`select * from ${sql.table(migrationTable)} order by name`.execute(reader);
  return rows.map(({ name, beside = null }) => ({ name, beside }));
}

/** @throws DatabaseRefusedError unless a program of that version may work beside what it does not know */
function refuseTooNew(
  newer: readonly AppliedMigration[],
  pending: readonly SchemaMigration[],
  version: string,
): void {
  const barring = newer.filter(({ beside }) => beside === null || !isAtLeast(version, beside));
  if (barring.length > 0) throw refuseUnknown(barring);
  if (pending.length === 0) return;
  throw new DatabaseRefusedError(
    `the database was made by another line of vestibule: it has ${toNames(newer)}, unknown here, and lacks ` +
      `${toNames(pending)}: run a version that has both`,
  );
}

function refuseUnknown(unknown: readonly AppliedMigration[]): DatabaseRefusedError {
  const oldest = findOldestBeside(unknown);
  return new DatabaseRefusedError(
    `the database was made by a newer version of vestibule (it has ${toNames(unknown)}, unknown here): ` +
      `run that version or a later one${oldest === null ? "" : `, or ${oldest} or a later one`}, ` +
      "or restore a backup taken before the upgrade",
  );
}

function toNames(migrations: readonly { readonly name: string }[]): string {
  return migrations.map(({ name }) => name).join(", ");
}

/** How many tables have a name like this. SQLite's own do not count. */
async function countTables(database: Reader, pattern: string): Promise<number> {
  const query =
    dialectOf(database) === "sqlite"
      ? sql<{ n: number }>`select count(*) as n from sqlite_schema
          where type = 'table' and name not like 'sqlite~_%' escape '~' and name like ${pattern}`
      : sql<{ n: number }>`select count(*) as n from information_schema.tables
          where table_schema = current_schema() and table_name like ${pattern}`;
  const { rows } = await query.execute(database);
  return rows[0]?.n ?? 0;
}
