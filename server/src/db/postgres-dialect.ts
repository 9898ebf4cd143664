/** Kysely's dialect for Postgres: sessions that are lost or unfit leave the pool. */
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
  type TransactionSettings,
} from "kysely";
import type { QueryResult as PgResult, Pool, PoolClient } from "pg";
import { isConnectionLost, isSessionUnfit, toUnavailable } from "./errors.ts";
import type { PostgresSessions } from "./postgres-sessions.ts";
import type { Retirement } from "./retirement.ts";

/**
 * Ends both time-outs, the server's and ours, for the rest of a transaction:
 * the one statement that this driver understands.
 */
export const liftTimeoutsStatement = "set local statement_timeout = 0";

/** The pool that the dialect draws from, and what it needs around it. */
export interface PooledParts {
  /** Hands out admitted sessions alone. */
  readonly pool: Pool;
  readonly sessions: PostgresSessions;
  readonly retirement: Retirement;
  /** After how many milliseconds a silent server is given up. */
  readonly queryTimeoutMs: number;
  /**
   * Bounds what a transaction may take, for itself alone: where a pooler hands
   * out sessions by transaction, the session's own bounds may be another's.
   */
  readonly limitStatement: string;
}

/**
 * Kysely over a `pg` pool. Its own, and not Kysely's, for three things: lost
 * and unfit sessions become UNAVAILABLE and leave the pool, a handle kept beyond its
 * transaction is refused, and migrations lock by themselves (`migrate.ts`).
 */
export class PooledPostgresDialect implements Dialect {
  readonly #parts: PooledParts;

  constructor(parts: PooledParts) {
    this.#parts = parts;
  }

  createDriver(): Driver {
    return new PooledDriver(this.#parts);
  }

  createQueryCompiler(): PostgresQueryCompiler {
    return new PostgresQueryCompiler();
  }

  createAdapter(): PostgresAdapter {
    return new SelfLockingPostgresAdapter();
  }

  createIntrospector(database: Kysely<unknown>): PostgresIntrospector {
    return new PostgresIntrospector(database);
  }
}

/** Without Kysely's session lock, which a failed migration would leave behind in the pool. */
class SelfLockingPostgresAdapter extends PostgresAdapter {
  override async acquireMigrationLock(): Promise<void> {}

  override async releaseMigrationLock(): Promise<void> {}
}

class PooledDriver implements Driver {
  readonly #parts: PooledParts;

  constructor(parts: PooledParts) {
    this.#parts = parts;
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<PostgresConnection> {
    const { pool, sessions, retirement } = this.#parts;
    retirement.require();
    const refusal = pool.idleCount === 0 ? sessions.refusal : undefined;
    if (refusal !== undefined) throw refusal;
    try {
      let client = await pool.connect();
      while (!sessions.isFit(client)) {
        client.release(true);
        client = await pool.connect();
      }
      return new PostgresConnection(client, this.#parts);
    } catch (error) {
      throw toUnavailable(error);
    }
  }

  async beginTransaction(connection: PostgresConnection, settings: TransactionSettings): Promise<void> {
    await connection.begin(settings.isolationLevel ?? "read committed");
  }

  async commitTransaction(connection: PostgresConnection): Promise<void> {
    await connection.commit();
  }

  async rollbackTransaction(connection: PostgresConnection): Promise<void> {
    await connection.rollback();
  }

  async releaseConnection(connection: PostgresConnection): Promise<void> {
    connection.release();
  }

  async destroy(): Promise<void> {}
}

/** What Kysely holds during one query or one transaction. */
class PostgresConnection implements DatabaseConnection {
  readonly #client: PoolClient;
  readonly #sessions: PostgresSessions;
  readonly #limitStatement: string;
  #queryTimeoutMs: number;
  #isEnded = false;
  #isLost = false;

  constructor(client: PoolClient, { sessions, queryTimeoutMs, limitStatement }: PooledParts) {
    this.#client = client;
    this.#limitStatement = limitStatement;
    this.#sessions = sessions;
    this.#queryTimeoutMs = queryTimeoutMs;
  }

  async begin(isolationLevel: string): Promise<void> {
    // In one message: no answer is waited for in between.
    await this.#query(`start transaction isolation level ${isolationLevel}; ${this.#limitStatement}`, []);
  }

  async commit(): Promise<void> {
    this.#isEnded = true;
    const { command } = await this.#query("commit", []);
    if (command === "ROLLBACK") {
      throw new Error("a statement of this transaction failed and its error was dropped");
    }
  }

  /** Never throws: a connection that cannot roll back is thrown away, which rolls back too. */
  async rollback(): Promise<void> {
    this.#isEnded = true;
    if (this.#isLost) return;
    try {
      await this.#query("rollback", []);
    } catch {
      this.#isLost = true;
    }
  }

  release(): void {
    this.#isEnded = true;
    this.#client.release(this.#isLost);
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    if (this.#isEnded) throw new Error("the transaction has ended");
    const { command, rowCount, rows } = await this.#query(query.sql, query.parameters);
    if (!/^(?:INSERT|UPDATE|DELETE|MERGE)$/.test(command)) return { rows: rows as R[] };
    return { rows: rows as R[], numAffectedRows: BigInt(rowCount ?? 0) };
  }

  // biome-ignore lint/correctness/useYield: there is nothing to yield.
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error("streaming is not supported: read in pages");
  }

  async #query(sql: string, parameters: readonly unknown[]): Promise<PgResult> {
    if (sql === liftTimeoutsStatement) this.#queryTimeoutMs = 0;
    const config = { text: sql, values: parameters as unknown[], query_timeout: this.#queryTimeoutMs };
    try {
      return await this.#client.query(config);
    } catch (error) {
      this.#isLost ||= isConnectionLost(error) || isSessionUnfit(error);
      this.#sessions.noteFailure(this.#client, error);
      throw toUnavailable(error);
    }
  }
}
