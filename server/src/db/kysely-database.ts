/** The one implementation of `Database`, over Kysely; what differs by dialect is handed in. */

import { AsyncLocalStorage } from "node:async_hooks";
import type { Kysely } from "kysely";
import { Durations, Tally } from "../lib/counts.ts";
import { DomainError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { Tracing } from "../lib/tracing.ts";
import type { Database, Reader, Tx } from "./database.ts";
import type { Retirement } from "./retirement.ts";
import type { Schema } from "./schema.ts";
import { toTransactionWork } from "./traced-queries.ts";

/** A database as `openDatabase` hands it out. */
export interface OpenDatabase extends Database {
  /**
   * Calls `onNotify` whenever another process, or this one, may have committed
   * a notification on `channel` (Postgres `LISTEN`); may call it without cause.
   * Returns what ends it. On SQLite only other processes of the same server are
   * heard, by {@link OpenDatabase.wakeOthers}: poll.
   */
  listen(channel: string, onNotify: () => void): () => Promise<void>;
  /**
   * Calls what the other processes of this server listen by, after a commit. On
   * Postgres the transaction itself notifies all there are.
   */
  wakeOthers(): void;
  /**
   * Calls the listener when the database can no longer be what this process
   * opened, which is known of an SQLite file that has gone from its place, and
   * of one that was retired; and when it is back. Returns what ends it.
   */
  onPresence(listener: (isThere: boolean) => void): () => void;
  /**
   * Refuses all that is asked of it from now on (DomainError UNAVAILABLE).
   *
   * @param why for operators
   */
  retire(why: string): void;
  metrics(): DatabaseMetrics;
}

/** Outcomes of transactions, for metrics. `unavailable`: the database was locked, full or gone. */
export type TransactionResult = "committed" | "rolled_back" | "unavailable";

/** Counts and durations of transactions since the database was opened, for metrics. */
export interface DatabaseMetrics extends DriverMetrics {
  readonly transactions: Readonly<Record<TransactionResult, number>>;
  /** From the call to its result, waiting included. */
  readonly durations: Durations;
}

/** Counts of waiting work, connections and commits, as far as the driver has them. */
export interface DriverMetrics {
  /** Transactions that wait for their turn; on Postgres those, and reads, that wait for a connection. */
  readonly waiting: number;
  /** Postgres: open connections of the pool. */
  readonly connections?: { readonly used: number; readonly idle: number };
  /** SQLite: commits of the file, which transactions share. */
  readonly commits?: number;
}

/** Upper bounds of the durations of transactions, in seconds. */
const durationBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** What differs between the two databases. */
export interface KyselyDatabaseParts {
  readonly dialect: "sqlite" | "postgres";
  readonly isShared: boolean;
  readonly kysely: Kysely<Schema>;
  readonly scope: TransactionScope;
  readonly retirement: Retirement;
  readonly tracing?: Pick<Tracing, "within"> | undefined;
  listen(channel: string, onNotify: () => void): () => Promise<void>;
  wakeOthers(): void;
  /** Present where it may go by itself. */
  onPresence?(listener: (isThere: boolean) => void): () => void;
  metrics(): DriverMetrics;
  close(): Promise<void>;
}

/** Implements `Database` for both databases: what differs is in Kysely's dialect and in `parts`. */
export class KyselyDatabase implements OpenDatabase {
  readonly dialect: "sqlite" | "postgres";
  readonly isShared: boolean;
  readonly reader: Reader;
  readonly #parts: KyselyDatabaseParts;
  readonly #transactions = new Tally<TransactionResult>(["committed", "rolled_back", "unavailable"]);
  readonly #durations = new Durations(durationBounds);
  #closing: Promise<void> | undefined;

  constructor(parts: KyselyDatabaseParts) {
    this.dialect = parts.dialect;
    this.isShared = parts.isShared;
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

  wakeOthers(): void {
    this.#parts.wakeOthers();
  }

  onPresence(listener: (isThere: boolean) => void): () => void {
    const ends = [this.#parts.onPresence?.(listener), this.#parts.retirement.subscribe(listener)];
    return () => {
      for (const end of ends) end?.();
    };
  }

  retire(why: string): void {
    this.#parts.retirement.retire(why);
  }

  metrics(): DatabaseMetrics {
    return {
      ...this.#parts.metrics(),
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

/** A transaction in progress, as its own work finds it. */
interface Unit {
  open: boolean;
}

/**
 * Keeps what belongs to a transaction on either database: the hooks to run once
 * it has committed, and the knowledge that one is in progress, so that a second
 * one inside it is an error and not a deadlock.
 */
export class TransactionScope {
  readonly #log: Log;
  readonly #current = new AsyncLocalStorage<Unit>();
  readonly #hooks = new WeakMap<Tx, (() => void)[]>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** @throws Error inside the work of a transaction that is still open. */
  assertOutside(): void {
    if (this.#current.getStore()?.open) {
      throw new Error(
        "a transaction is already in progress here: pass its handle on instead of opening another",
      );
    }
  }

  /**
   * Runs `work` inside whatever `transact` opens. Hooks run after `transact`
   * has resolved and before this does.
   */
  async run<T>(
    transact: (body: (tx: Tx) => Promise<T>) => Promise<T>,
    work: (tx: Tx) => Promise<T>,
  ): Promise<T> {
    this.assertOutside();
    const hooks: (() => void)[] = [];
    const result = await transact((tx) => this.#runWork(tx, hooks, work));
    for (const hook of hooks) this.#runHook(hook);
    return result;
  }

  /** @throws Error when `tx` is not in progress. */
  afterCommit(tx: Tx, hook: () => void): void {
    const hooks = this.#hooks.get(tx);
    if (!hooks) throw new Error("afterCommit needs the handle of a transaction in progress");
    hooks.push(hook);
  }

  async #runWork<T>(tx: Tx, hooks: (() => void)[], work: (tx: Tx) => Promise<T>): Promise<T> {
    const unit: Unit = { open: true };
    this.#hooks.set(tx, hooks);
    try {
      return await this.#current.run(unit, () => work(tx));
    } finally {
      unit.open = false;
      this.#hooks.delete(tx);
    }
  }

  #runHook(hook: () => void): void {
    try {
      hook();
    } catch (error) {
      this.#log.error({ err: error }, "a hook threw after its transaction had committed");
    }
  }
}
