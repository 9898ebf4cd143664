/**
 * Where every process gets its database from. This room owns the connections,
 * the transactions with their shared commits, the migrations and the lock that
 * keeps a second server off an SQLite file; stores elsewhere hold the queries
 * and see plain Kysely. Beside the schema it knows no noun.
 */

import { systemMonotonicMs } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Siblings } from "../lib/siblings.ts";
import type { Tracing } from "../lib/tracing.ts";
import { DatabaseRefusedError } from "./errors.ts";
import type { OpenDatabase } from "./kysely-database.ts";
import { openPostgres } from "./postgres.ts";
import { openSqlite } from "./sqlite.ts";

/** Which database is opened, and within which times. */
export interface OpenDatabaseOptions {
  /** `sqlite:<path>` or `postgres://…`. */
  readonly url: string;
  readonly log: Log;
  /** Postgres: how many connections at most. */
  readonly poolSize?: number;
  /** Postgres: after how many milliseconds a statement is cancelled. Migrations may take longer. */
  readonly statementTimeoutMs?: number;
  /**
   * After how many milliseconds a transaction that does nothing is ended on
   * Postgres, and any transaction on SQLite; 10 seconds. 0: never.
   */
  readonly idleTransactionMs?: number;
  /**
   * Whether a transaction that has ended may be lost when the machine fails, as
   * long as all later ones are lost with it; else each waits for the disk.
   */
  readonly mayLoseLast?: boolean;
  /** Postgres: how long a session lives at most, in milliseconds. For tests. */
  readonly sessionLifetimeMs?: number;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonicMs?: () => number;
  /** Records transactions and queries. */
  readonly tracing?: Tracing | undefined;
  /** SQLite: the other processes that serve on the file, if there are any. */
  readonly siblings?: Siblings | undefined;
  /** SQLite: sees each statement of the writing connection. For tests. */
  readonly onStatement?: (sql: string) => void;
}

/**
 * Opens the database; does not migrate it.
 *
 * @throws DatabaseRefusedError for an address that is neither of the two.
 * @throws DomainError UNAVAILABLE when it cannot be opened or reached.
 */
export async function openDatabase(options: OpenDatabaseOptions): Promise<OpenDatabase> {
  const { url, log, tracing } = options;
  const monotonicMs = options.monotonicMs ?? systemMonotonicMs;
  const { idleTransactionMs = 10_000, mayLoseLast = false } = options;
  if (isPostgresUrl(url)) {
    const { poolSize = 10, statementTimeoutMs = 10_000, sessionLifetimeMs } = options;
    const times = { statementTimeoutMs, idleTransactionMs, sessionLifetimeMs };
    return openPostgres({ url, log, tracing, poolSize, monotonicMs, mayLoseLast, ...times });
  }
  const { siblings, onStatement } = options;
  const path = sqlitePath(url);
  return openSqlite({
    path,
    log,
    tracing,
    monotonicMs,
    idleTransactionMs,
    mayLoseLast,
    siblings,
    onStatement,
  });
}

/** Whether the address is one of Postgres. */
export function isPostgresUrl(url: string): boolean {
  return /^postgres(?:ql)?:\/\//.test(url);
}

/**
 * The file of an `sqlite:` address.
 *
 * @throws DatabaseRefusedError for any other address, and for databases in memory.
 */
export function sqlitePath(url: string): string {
  const path = /^sqlite:(?:\/\/(?=\/))?(?<path>.+)$/.exec(url)?.groups?.path;
  if (path === undefined || path.startsWith(":") || path.startsWith("file:") || path.startsWith("//")) {
    throw new DatabaseRefusedError("database_url must be sqlite:<path of a file> or postgres://…");
  }
  return path;
}
