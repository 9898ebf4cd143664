/** Reading access for commands that look at a database and change nothing, such as `doctor`. */
import { existsSync } from "node:fs";
import Sqlite from "better-sqlite3";
import { Kysely, SqliteDialect } from "kysely";
import type { Log } from "../lib/log.ts";
import type { Reader } from "./database.ts";
import { toUnavailable } from "./errors.ts";
import { isPostgresUrl, openDatabase, sqlitePath } from "./open-database.ts";
import type { Schema } from "./schema.ts";

/** A database opened to look at. */
export interface OpenReader {
  readonly reader: Reader;
  close(): Promise<void>;
}

/**
 * Opens a database without making, migrating or changing anything; undefined
 * if there is no SQLite file. Servers on it may go on running.
 *
 * @throws DatabaseRefusedError for an address that makes no sense.
 * @throws DomainError UNAVAILABLE when it cannot be opened or reached.
 */
export async function findOpenReader(options: {
  readonly url: string;
  readonly log: Log;
}): Promise<OpenReader | undefined> {
  if (isPostgresUrl(options.url)) {
    const database = await openDatabase({ ...options, poolSize: 1 });
    return { reader: database.reader, close: () => database.close() };
  }
  const path = sqlitePath(options.url);
  return existsSync(path) ? openSqliteReader(path) : undefined;
}

/** `query_only` and not read-only: that would leave SQLite's companion files behind (`-wal`, `-shm`). */
function openSqliteReader(path: string): OpenReader {
  try {
    const sqlite = new Sqlite(path, { fileMustExist: true });
    sqlite.pragma("query_only = on");
    // Reads the first page: here, not at some first query, a file that is no database shows.
    sqlite.pragma("schema_version");
    const reader = new Kysely<Schema>({ dialect: new SqliteDialect({ database: sqlite }) });
    return { reader, close: () => reader.destroy() };
  } catch (error) {
    throw toUnavailable(error);
  }
}
