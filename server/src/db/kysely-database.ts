/** The one implementation of `Database`, over Kysely; what differs by dialect is handed in. */
import type { Kysely } from "kysely";
import { Durations, Tally } from "../lib/counts.ts";
import { DomainError } from "../lib/errors.ts";
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
  /**
   * Calls the listener when the database can no longer be what this process
   * opened, which is known of an SQLite file that has gone from its place, and
   * when it is back. Returns what ends it.
   */
  onPresence(listener: (isThere: boolean) => void): () => void;
  figures(): DatabaseFigures;
}

/** Outcomes of transactions, for metrics. `unavailable`: the database was locked, full or gone. */
export type TransactionResult = "committed" | "rolled_back" | "unavailable";

/** Counts and durations of transactions since the database was opened, for metrics. */
export interface DatabaseFigures extends DriverFigures {
  readonly transactions: Readonly<Record<TransactionResult, number>>;
  /** From the call to its result, waiting included. */
  readonly durations: Durations;
}

/** Counts of waiting work, connections and commits, as far as the driver has them. */
export interface DriverFigures {
  /** Transactions that wait for their turn; on Postgres those, and reads, that wait for a connection. */
  readonly waiting: number;
  /** Postgres: open connections of the pool. */
  readonly connections?: { readonly used: number; readonly idle: number };
  /** SQLite: commits of the file, which transactions share. */
  readonly commits?: number;
}

/** Upper bounds of the durations of transactions, in seconds. */
const durationBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export interface KyselyDatabaseParts {
  readonly dialect: "sqlite" | "postgres";
  readonly kysely: Kysely<Schema>;
  readonly scope: TransactionScope;
  readonly tracing?: Pick<Tracing, "within"> | undefined;
  listen(channel: string, onNotify: () => void): () => Promise<void>;
  onPresence(listener: (isThere: boolean) => void): () => void;
  figures(): DriverFigures;
  close(): Promise<void>;
}

/** The same on both databases: what differs is in Kysely's dialect and in `parts`. */
export class KyselyDatabase implements OpenDatabase {
  readonly dialect: "sqlite" | "postgres";
  readonly reader: Reader;
  readonly #parts: KyselyDatabaseParts;
  readonly #transactions = new Tally<TransactionResult>(["committed", "rolled_back", "unavailable"]);
  readonly #durations = new Durations(durationBounds);
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

  onPresence(listener: (isThere: boolean) => void): () => void {
    return this.#parts.onPresence(listener);
  }

  figures(): DatabaseFigures {
    return {
      ...this.#parts.figures(),
      transactions: this.#transactions.read(),
      durations: this.#durations,
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#parts.close();
    return this.#closing;
  }

  async #transact<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    const beganAt = performance.now();
    let result: TransactionResult = "committed";
    try {
      return await this.#parts.scope.run((body) => this.#parts.kysely.transaction().execute(body), work);
    } catch (error) {
      result = error instanceof DomainError && error.kind === "unavailable" ? "unavailable" : "rolled_back";
      throw error;
    } finally {
      this.#transactions.add(result);
      this.#durations.add((performance.now() - beganAt) / 1000);
    }
  }
}
