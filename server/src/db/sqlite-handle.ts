/** A connection of `node:sqlite` with its settings and prepared statements. */
import { chmodSync, closeSync, openSync, statSync } from "node:fs";
import { dirname } from "node:path";
import Sqlite from "better-sqlite3";
import type { CompiledQuery, QueryResult } from "kysely";
import { LRUCache } from "lru-cache";
import { makeFolder } from "../lib/make-folder.ts";
import { DatabaseRefusedError, toUnavailable } from "./errors.ts";

/** How many prepared statements a connection keeps. Statements made with varying lists fall out again. */
const maxStatements = 500;

/** How long a connection blocks for a lock while it is being opened, in milliseconds. */
const openTimeoutMs = 10_000;

/** As long as the log gets where the writer has to write it back itself: 16 000 pages. */
const logBytes = 64 * 1024 * 1024;

/** Which file a connection is to, and whether it may write. */
export interface SqliteHandleOptions {
  readonly path: string;
  /** A connection that only reads refuses every write. */
  readonly readOnly: boolean;
  /** Whether commits do not wait for the disk: what is lost is always the end. */
  readonly mayLoseLast?: boolean;
  /** Sees each statement as it runs. For tests. */
  readonly onStatement?: ((sql: string) => void) | undefined;
}

/** A connection to an SQLite file, with every statement it has seen kept prepared. */
export class SqliteHandle {
  readonly #database: Sqlite.Database;
  readonly #statements = new LRUCache<string, Sqlite.Statement>({ max: maxStatements });

  /** @throws DomainError UNAVAILABLE when the file cannot be opened, is locked or is no database. */
  constructor(options: SqliteHandleOptions) {
    try {
      this.#database = openFile(options);
    } catch (error) {
      throw toUnavailable(error);
    }
  }

  get inTransaction(): boolean {
    return this.#database.inTransaction;
  }

  isReadOnly(query: CompiledQuery): boolean {
    return this.#prepare(query.sql).readonly;
  }

  /** Runs a compiled query. @throws DomainError UNAVAILABLE, or SQLite's own error. */
  execute<R>(query: CompiledQuery): QueryResult<R> {
    try {
      const statement = this.#prepare(query.sql);
      if (statement.reader) return { rows: statement.all(query.parameters) as R[] };
      const { changes, lastInsertRowid } = statement.run(query.parameters);
      return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) };
    } catch (error) {
      throw toUnavailable(error);
    }
  }

  /** Runs a statement without parameters or rows, such as `commit`. Errors as {@link execute}. */
  run(sql: string): void {
    try {
      this.#prepare(sql).run();
    } catch (error) {
      throw toUnavailable(error);
    }
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
  }

  #prepare(sql: string): Sqlite.Statement {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

/**
 * Makes the file, readable by its owner alone, unless it is there; SQLite gives
 * its companions (`-wal`, `-shm`) the same mode. An existing file is never
 * opened here: closing it would drop every lock that this process holds on it
 * (fcntl(2), "advisory record locking").
 *
 * @throws DatabaseRefusedError when the place cannot be written: a read-only or
 *   full disk, somebody else's folder; or is no place for a file: a folder of
 *   that name is left as it is, its mode above all.
 */
export function createPrivateFile(path: string): void {
  try {
    makeFolder(dirname(path), 0o700);
    const there = statSync(path, { throwIfNoEntry: false });
    if (there === undefined) closeSync(openSync(path, "a", 0o600));
    else if (there.isFile()) chmodSync(path, 0o600);
    else throw new DatabaseRefusedError(`${path}: must be a file`);
  } catch (error) {
    if (error instanceof DatabaseRefusedError) throw error;
    throw new DatabaseRefusedError(
      `${path}: cannot be written, got ${(error as NodeJS.ErrnoException).code}`,
      {
        cause: error,
      },
    );
  }
}

function openFile(options: SqliteHandleOptions): Sqlite.Database {
  if (!options.readOnly) createPrivateFile(options.path);
  const verbose = options.onStatement;
  const database = new Sqlite(options.path, {
    fileMustExist: true,
    timeout: openTimeoutMs,
    ...(verbose ? { verbose: (sql: unknown) => verbose(String(sql)) } : {}),
  });
  database.pragma("journal_mode = wal");
  database.pragma(`synchronous = ${options.mayLoseLast ? "normal" : "full"}`);
  database.pragma("foreign_keys = on");
  database.pragma("temp_store = memory");
  // KiB of pages kept, for each of two connections; the system keeps the rest of the file at hand.
  database.pragma("cache_size = -8000");
  database.pragma("trusted_schema = off");
  // Pages after which a commit writes the log back itself. A server has a thread for that (checkpointer.ts),
  // which leaves it little to do; 64 MiB are what the log then has on disk.
  database.pragma("wal_autocheckpoint = 16000");
  // What the log may have on disk once it was written back, in bytes; a long read can make it grow beyond.
  database.pragma(`journal_size_limit = ${logBytes}`);
  if (options.readOnly) database.pragma("query_only = on");
  // The writer waits for its lock without blocking the process (group-commit.ts);
  // a reader under WAL meets a lock only while another process recovers the file.
  database.pragma(`busy_timeout = ${options.readOnly ? 500 : 0}`);
  // Reads the first page, which makes the companion files where they are missing.
  database.pragma("schema_version");
  return database;
}
