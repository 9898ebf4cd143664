/** The database as services and stores see it: reads, transactions, and hooks after a commit. */
import type { Kysely, Transaction } from "kysely";
import type { Schema } from "./schema.ts";

/** A transaction in progress. Services pass it on; only stores look inside. */
export type Tx = Transaction<Schema>;

/** A handle that queries run on: the database or a transaction in progress. */
export type Reader = Kysely<Schema>;

/** The database, whichever it is. */
export interface Database {
  readonly dialect: "sqlite" | "postgres";
  /** Whether other serving processes may write to it: to Postgres always, to an SQLite file those of the same server. */
  readonly isShared: boolean;
  /** For reads outside a transaction: sees committed rows only. */
  readonly reader: Reader;
  /**
   * Runs `work` in one transaction and resolves once it is durable: all of it
   * or nothing. On SQLite transactions run one after another and those that
   * wait at the same time share one commit, so `work` must await nothing but
   * the database.
   *
   * @throws DomainError UNAVAILABLE when the database is locked, full or gone.
   */
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  /**
   * Calls `hook` after `tx` has committed and before its `transaction` call
   * resolves; never when it rolls back. Hooks must not throw.
   */
  afterCommit(tx: Tx, hook: () => void): void;
  close(): Promise<void>;
}
