import { Kysely } from "kysely";
import type { Client, ClientConfig } from "pg";
import type { Log } from "../lib/log.ts";
import type { Tracing } from "../lib/tracing.ts";
import { toOpeningError } from "./errors.ts";
import { KyselyDatabase, type OpenDatabase, TransactionScope } from "./kysely-database.ts";
import { PooledPostgresDialect } from "./postgres-dialect.ts";
import { PostgresListener } from "./postgres-listener.ts";
import { PostgresSessions } from "./postgres-sessions.ts";
import { isWithoutTls, readPostgresTls } from "./postgres-tls.ts";
import { Retirement } from "./retirement.ts";
import type { Schema } from "./schema.ts";
import { createQueryRecorder } from "./traced-queries.ts";

/** How Postgres is reached, and within which times. */
export interface PostgresOptions {
  readonly url: string;
  readonly log: Log;
  readonly tracing: Tracing | undefined;
  /** How many connections at most. One more listens. */
  readonly poolSize: number;
  /** After how many milliseconds the server cancels a statement; a little later it is given up here. */
  readonly statementTimeoutMs: number;
  /**
   * How long a transaction may do nothing before Postgres ends it, which lets go
   * of its rows: none of ours waits for anything but the database, so its
   * process has been cut off.
   */
  readonly idleTransactionMs: number;
  /** Whether commits do not wait for the disk. */
  readonly mayLoseLast: boolean;
  readonly monotonicMs: () => number;
  /** How long a session may live at most, in milliseconds; an hour unless a test says otherwise. */
  readonly sessionLifetimeMs?: number | undefined;
}

/** Object identifier of `int8` in `pg_type`. */
const int8Oid = 20;

/** A server that is busy starting many connections takes seconds for one. */
const connectTimeoutMs = 10_000;

/**
 * Opens a pool of Postgres connections. `pg` is loaded only here: a process on
 * SQLite never pays for it.
 *
 * @throws DomainError UNAVAILABLE when the server does not answer.
 * @throws DatabaseRefusedError when its address asks for TLS that makes no sense.
 */
export async function openPostgres(options: PostgresOptions): Promise<OpenDatabase> {
  const { log, tracing } = options;
  const { default: pg } = await import("pg");
  const { url, ssl, mayFallBack } = readPostgresTls(options.url);
  const config: ClientConfig = {
    connectionString: url,
    ssl,
    application_name: "vestibule",
    keepAlive: true,
    connectionTimeoutMillis: connectTimeoutMs,
    types: {
      // Our int8 columns are milliseconds and counters, all below 2^53.
      getTypeParser: ((oid: number, format?: "text" | "binary") =>
        oid === int8Oid && format !== "binary"
          ? Number
          : pg.types.getTypeParser(oid, format as "text")) as typeof pg.types.getTypeParser,
    },
  };
  if (mayFallBack && !(await hasTls(() => new pg.Client(config)))) config.ssl = false;
  const queryTimeoutMs = options.statementTimeoutMs * 1.2;
  const limits = {
    statement_timeout: options.statementTimeoutMs,
    idle_in_transaction_session_timeout: options.idleTransactionMs,
    ...(options.mayLoseLast && { synchronous_commit: "off" }),
  };
  // Not among the parameters that a connection begins with: pgbouncer refuses those that it does not know.
  const limit = (scope: "session" | "local") =>
    Object.entries(limits)
      .map(([name, value]) => `set ${scope} ${name} = ${value}`)
      .join("; ");
  const sessions = new PostgresSessions({
    timeoutMs: queryTimeoutMs,
    monotonicMs: options.monotonicMs,
    random: Math.random,
    lifetimeMs: options.sessionLifetimeMs,
    limitStatement: limit("session"),
  });
  const pool = new pg.Pool({
    ...config,
    max: options.poolSize,
    idleTimeoutMillis: 30_000,
    onConnect: async (client) => void (await sessions.admit(client)),
  });
  pool.on("error", (error) => log.warn({ err: error }, "lost an idle database connection"));
  // A client in use has no listener of the pool's: without one its loss would end the process.
  pool.on("connect", (client) => client.on("error", () => {}));
  const retirement = new Retirement();
  const kysely = new Kysely<Schema>({
    dialect: new PooledPostgresDialect({
      pool,
      sessions,
      retirement,
      queryTimeoutMs,
      limitStatement: limit("local"),
    }),
    ...(tracing && { log: createQueryRecorder("postgres", tracing) }),
  });
  try {
    await pool.query("select 1");
  } catch (error) {
    await pool.end();
    throw toOpeningError(error);
  }
  const listeners = new Set<PostgresListener>();
  return new KyselyDatabase({
    dialect: "postgres",
    isShared: true,
    kysely,
    scope: new TransactionScope(log),
    retirement,
    tracing,
    listen: (channel, onNotify) => {
      const createClient = () => new pg.Client(config);
      const listener = new PostgresListener({ createClient, sessions, channel, onNotify, log });
      listeners.add(listener);
      return async () => {
        listeners.delete(listener);
        await listener.close();
      };
    },
    // The transaction has notified them.
    wakeOthers: () => {},
    metrics: () => {
      const { totalCount, idleCount, waitingCount } = pool;
      return { waiting: waitingCount, connections: { used: totalCount - idleCount, idle: idleCount } };
    },
    close: async () => {
      await Promise.all([...listeners].map((listener) => listener.close()));
      await kysely.destroy();
      await pool.end();
    },
  });
}

/** Asks once, for `sslmode=prefer`: all connections are alike then. What else goes wrong is the pool's to tell. */
async function hasTls(createClient: () => Client): Promise<boolean> {
  const client = createClient();
  client.on("error", () => {});
  try {
    await client.connect();
    return true;
  } catch (error) {
    return !isWithoutTls(error);
  } finally {
    await client.end().catch(() => {});
  }
}
