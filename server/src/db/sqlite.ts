import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  Kysely,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from "kysely";
import type { Log } from "../lib/log.ts";
import type { Siblings } from "../lib/siblings.ts";
import type { Tracing } from "../lib/tracing.ts";
import { Checkpointer } from "./checkpointer.ts";
import { FilePresence } from "./file-presence.ts";
import { GroupCommit, type WriteUnit } from "./group-commit.ts";
import { KyselyDatabase, type OpenDatabase, TransactionScope } from "./kysely-database.ts";
import { Retirement } from "./retirement.ts";
import type { Schema } from "./schema.ts";
import { SqliteHandle } from "./sqlite-handle.ts";
import { createQueryRecorder } from "./traced-queries.ts";

/** How an SQLite file is opened. */
export interface SqliteOptions {
  readonly path: string;
  readonly log: Log;
  readonly tracing: Tracing | undefined;
  readonly monotonicMs: () => number;
  /** After how many milliseconds a transaction is ended that keeps the others waiting; 0: never. */
  readonly idleTransactionMs: number;
  /** Other processes that serve on the file, if there are any. */
  readonly siblings: Siblings | undefined;
  /** Whether commits do not wait for the disk. */
  readonly mayLoseLast: boolean;
  /** Sees each statement of the writing connection. For tests. */
  readonly onStatement?: ((sql: string) => void) | undefined;
}

/**
 * Opens an SQLite file, made if missing (0600): one connection that writes, one
 * that reads.
 *
 * Of several processes each has its own two and writes by itself, since a
 * transaction that travelled to a single writer, a statement at a time, would
 * hold the file fifteen times as long (`docs/processes.md`): what keeps
 * them apart is SQLite's lock on the file, which its owner's end frees, however
 * that comes about. They take turns at it, a batch at a time, since nobody is
 * woken by that lock. What one has committed every read sees that begins after
 * it, in whichever process.
 */
export function openSqlite(options: SqliteOptions): OpenDatabase {
  const { path, log, tracing, monotonicMs, idleTransactionMs: maxUnitMs, mayLoseLast, siblings } = options;
  const writer = new SqliteHandle({
    path,
    readOnly: false,
    mayLoseLast,
    onStatement: options.onStatement,
  });
  const reader = new SqliteHandle({ path, readOnly: true });
  const presence = new FilePresence(path, log);
  const checkpointer = new Checkpointer({ path, log });
  const onCommit = () => checkpointer.noteCommit();
  const turns = siblings?.turns;
  const commits = new GroupCommit({ handle: writer, presence, log, monotonicMs, maxUnitMs, onCommit, turns });
  const scope = new TransactionScope(log);
  const retirement = new Retirement();
  const kysely = new Kysely<Schema>({
    dialect: new TwoConnectionSqliteDialect({ reader, writer, commits, presence, scope, retirement }),
    ...(tracing && { log: createQueryRecorder("sqlite", tracing) }),
  });
  return new KyselyDatabase({
    dialect: "sqlite",
    isShared: siblings !== undefined,
    kysely,
    scope,
    retirement,
    tracing,
    listen: (_, onNotify) => {
      const end = siblings?.onWake(onNotify);
      return async () => end?.();
    },
    wakeOthers: () => siblings?.wakeOthers(),
    onPresence: (listener) => presence.subscribe(listener),
    metrics: () => ({ waiting: commits.waitingCount, commits: commits.commitCount }),
    close: async () => {
      presence.close();
      await commits.close();
      await checkpointer.close();
      await kysely.destroy();
      reader.close();
      writer.close();
    },
  });
}

/** Parts that the dialect stands on. */
export interface SqliteDialectParts {
  readonly reader: SqliteHandle;
  readonly writer: SqliteHandle;
  readonly commits: GroupCommit;
  readonly presence: FilePresence;
  readonly scope: TransactionScope;
  readonly retirement: Retirement;
}

/**
 * Kysely over two connections to one SQLite file. Reads outside a transaction
 * run at once on the reading connection; transactions and single writes take
 * their turn on the writing one.
 */
class TwoConnectionSqliteDialect implements Dialect {
  readonly #parts: SqliteDialectParts;

  constructor(parts: SqliteDialectParts) {
    this.#parts = parts;
  }

  createDriver(): Driver {
    return new TwoConnectionDriver(this.#parts);
  }

  createQueryCompiler(): SqliteQueryCompiler {
    return new SqliteQueryCompiler();
  }

  createAdapter(): SqliteAdapter {
    return new ConcurrentSqliteAdapter();
  }

  createIntrospector(database: Kysely<unknown>): SqliteIntrospector {
    return new SqliteIntrospector(database);
  }
}

/** Kysely's own adapter would let only one query run at a time, reads included. */
class ConcurrentSqliteAdapter extends SqliteAdapter {
  override get supportsMultipleConnections(): boolean {
    return true;
  }

  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

class TwoConnectionDriver implements Driver {
  readonly #parts: SqliteDialectParts;

  constructor(parts: SqliteDialectParts) {
    this.#parts = parts;
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<SqliteConnection> {
    this.#parts.retirement.require();
    return new SqliteConnection(this.#parts);
  }

  async beginTransaction(connection: SqliteConnection): Promise<void> {
    await connection.begin();
  }

  async commitTransaction(connection: SqliteConnection): Promise<void> {
    await connection.commit();
  }

  async rollbackTransaction(connection: SqliteConnection): Promise<void> {
    connection.rollback();
  }

  async releaseConnection(): Promise<void> {}

  async destroy(): Promise<void> {}
}

/** What Kysely holds during one query or one transaction. */
class SqliteConnection implements DatabaseConnection {
  readonly #parts: SqliteDialectParts;
  #unit: WriteUnit | undefined;
  #hasFailed = false;

  constructor(parts: SqliteDialectParts) {
    this.#parts = parts;
  }

  async begin(): Promise<void> {
    this.#unit = await this.#parts.commits.begin();
  }

  async commit(): Promise<void> {
    if (!this.#unit) throw new Error("no transaction to commit");
    // Postgres does not let a transaction go on after an error; neither do we.
    if (this.#hasFailed) throw new Error("a statement of this transaction failed and its error was dropped");
    await this.#parts.commits.commit(this.#unit);
  }

  rollback(): void {
    if (this.#unit) this.#parts.commits.rollback(this.#unit);
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    if (this.#unit) return this.#executeInUnit(this.#unit, query);
    this.#parts.presence.require();
    if (this.#parts.reader.isReadOnly(query)) return this.#parts.reader.execute(query);
    return this.#writeAlone(query);
  }

  // biome-ignore lint/correctness/useYield: there is nothing to yield.
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error("streaming would hold a statement of a shared connection: read in pages");
  }

  #executeInUnit<R>(unit: WriteUnit, query: CompiledQuery): QueryResult<R> {
    if (unit.isEnded) throw new Error("the transaction has ended");
    if (this.#hasFailed)
      throw new Error("a statement of this transaction failed: nothing more can be done in it");
    try {
      return this.#parts.writer.execute(query);
    } catch (error) {
      this.#hasFailed = true;
      throw error;
    }
  }

  async #writeAlone<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    this.#parts.scope.assertOutside();
    const unit = await this.#parts.commits.begin();
    try {
      const result = this.#parts.writer.execute<R>(query);
      await this.#parts.commits.commit(unit);
      return result;
    } catch (error) {
      this.#parts.commits.rollback(unit);
      throw error;
    }
  }
}
