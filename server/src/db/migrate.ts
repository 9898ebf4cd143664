/** Migrations: which there are, which are missing, and applying them in one transaction. */
import { sql } from "kysely";
import { Migrator } from "kysely/migration";
import { continueOrderStatement } from "./continued-order.ts";
import type { Database, Reader, Tx } from "./database.ts";
import { dialectOf, liftTimeouts, lockForTransaction } from "./dialect.ts";
import { DatabaseRefusedError, isSqliteBusy, isTableTaken } from "./errors.ts";
import { migrations as ourMigrations, type SchemaMigration } from "./migrations/index.ts";
import { migrationTable } from "./schema.ts";

const migrationLockTable = "vestibule_migrations_lock";

/** Advisory lock of Postgres that migrating processes take. */
const migrationLockKey = 7_400_001;

/** How often a process tries again while another one migrates the same SQLite file: each try waits by itself. */
const maxAttempts = 30;

/**
 * Brings the schema up to date, in one transaction: all migrations that are
 * missing or none. Of processes that start together one migrates, the others
 * wait and find nothing to do.
 *
 * @param migrations the program's own unless a test says otherwise.
 * @throws DatabaseRefusedError when a newer version has migrated the database,
 *   another program's tables are in the way, or there is no schema for ours.
 */
export async function migrate(
  database: Database,
  migrations: readonly SchemaMigration[] = ourMigrations,
): Promise<{ applied: string[] }> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await database.transaction((tx) => migrateInside(tx, migrations));
    } catch (error) {
      if (isTableTaken(error)) throw refuseTaken(error);
      if (attempt >= maxAttempts || !isSqliteBusy(error)) throw error;
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
  await liftTimeouts(tx);
  await lockForTransaction(tx, migrationLockKey);
  return (await countTables(tx, "%")) === 0;
}

/** Migrations that a database lacks, for looking at it without changing it. */
export interface SchemaState {
  /** Whether there are no tables at all. */
  readonly isEmpty: boolean;
  /** Names of the migrations that the next start applies, oldest first. */
  readonly pending: readonly string[];
}

/** Reads which migrations a database lacks. @throws DatabaseRefusedError when a newer version has migrated it. */
export async function getSchemaState(
  reader: Reader,
  migrations: readonly SchemaMigration[] = ourMigrations,
): Promise<SchemaState> {
  await refuseNewer(reader, migrations);
  const applied = new Set(await findAppliedNames(reader));
  return {
    isEmpty: (await countTables(reader, "%")) === 0,
    pending: migrations.map(({ name }) => name).filter((name) => !applied.has(name)),
  };
}

/** As {@link migrate}, within a transaction that does more. @param migrations a beginning of the program's own */
export async function migrateInside(
  tx: Tx,
  migrations: readonly SchemaMigration[] = ourMigrations,
): Promise<{ applied: string[] }> {
  await liftTimeouts(tx);
  await lockForTransaction(tx, migrationLockKey);
  const schema = await findSchema(tx);
  await refuseNewer(tx, migrations);
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
  const { error, results } = await migrator.migrateToLatest();
  if (error) throw error;
  // Rows from elsewhere that had no such order before.
  if (dialect === "postgres") await sql.raw(continueOrderStatement).execute(tx);
  return { applied: (results ?? []).map((result) => result.migrationName) };
}

/** The schema that our tables are made in; undefined on SQLite. @throws DatabaseRefusedError when there is none */
async function findSchema(tx: Tx): Promise<string | undefined> {
  if (dialectOf(tx) === "sqlite") return undefined;
  const { rows } = await sql<{ name: string | null; path: string }>`
    select current_schema() as name, current_setting('search_path') as path`.execute(tx);
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
  if (unknown.length > 0) throw refuseUnknown(unknown);
  return ourMigrations.filter(({ name }) => names.includes(name));
}

/** Names of the migrations that the database has seen, in their order. */
export async function findAppliedNames(reader: Reader): Promise<string[]> {
  if ((await countTables(reader, migrationTable)) === 0) return [];
  const { rows } = await sql<{
    name: string;
  }>`select name from ${sql.table(migrationTable)} order by name`.execute(reader);
  return rows.map(({ name }) => name);
}

async function refuseNewer(reader: Reader, migrations: readonly SchemaMigration[]): Promise<void> {
  const known = new Set(migrations.map(({ name }) => name));
  const unknown = (await findAppliedNames(reader)).filter((name) => !known.has(name));
  if (unknown.length > 0) throw refuseUnknown(unknown);
}

function refuseUnknown(names: readonly string[]): DatabaseRefusedError {
  return new DatabaseRefusedError(
    `the database was made by a newer version of vestibule (it has ${names.join(", ")}, unknown here): ` +
      "run that version or a later one, or restore a backup taken before the upgrade",
  );
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
