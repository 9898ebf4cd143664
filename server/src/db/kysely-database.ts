import type { Kysely } from "kysely";
import type { Tracing } from "../lib/tracing.ts";
import type { Database, Reader, Tx } from "./database.ts";
import type { Schema } from "./schema.ts";
import { toTransactionWork } from "./traced-queries.ts";
import type { TransactionScope } from "./transaction-scope.ts";

/** A database as `openDatabase` hands it out. */
export interface OpenDatabase extends Database {
  /**
   * Calls `onNotify` whenever another process, or this one, may have committed
   * a notification on `channel` (Postgres `LISTEN`); may call it without cause.
   * Returns what ends it. On SQLite there is nothing to listen to: poll.
   */
  listen(channel: string, onNotify: () => void): () => Promise<void>;
}

export interface KyselyDatabaseParts {
  readonly dialect: "sqlite" | "postgres";
  readonly kysely: Kysely<Schema>;
  readonly scope: TransactionScope;
  readonly tracing?: Pick<Tracing, "within"> | undefined;
  listen(channel: string, onNotify: () => void): () => Promise<void>;
  close(): Promise<void>;
}

/** The same on both databases: what differs is in Kysely's dialect and in `parts`. */
export class KyselyDatabase implements OpenDatabase {
  readonly dialect: "sqlite" | "postgres";
  readonly reader: Reader;
  readonly #parts: KyselyDatabaseParts;
  #closing: Promise<void> | undefined;

  constructor(parts: KyselyDatabaseParts) {
    this.dialect = parts.dialect;
    this.reader = parts.kysely;
    this.#parts = parts;
  }

  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    const { tracing } = this.#parts;
    if (tracing === undefined) return this.#transact(work);
    return tracing.within(toTransactionWork(this.dialect), () => this.#transact(work));
  }

  afterCommit(tx: Tx, hook: () => void): void {
    this.#parts.scope.afterCommit(tx, hook);
  }

  listen(channel: string, onNotify: () => void): () => Promise<void> {
    return this.#parts.listen(channel, onNotify);
  }

  close(): Promise<void> {
    this.#closing ??= this.#parts.close();
    return this.#closing;
  }

  #transact<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.#parts.scope.run((body) => this.#parts.kysely.transaction().execute(body), work);
  }
}
