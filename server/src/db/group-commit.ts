/** Group commit on SQLite: transactions that are ready together share one wait for the disk. */
import { DomainError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { Turns } from "../lib/siblings.ts";
import { isSqliteBusy, toUnavailable } from "./errors.ts";
import type { FilePresence } from "./file-presence.ts";
import type { SqliteHandle } from "./sqlite-handle.ts";

/** A transaction's turn on the writing connection. Ends with commit, rollback or eviction. */
export interface WriteUnit {
  readonly isEnded: boolean;
}

/** The connection whose commits are shared, and what hears of each. */
export interface GroupCommitOptions {
  readonly handle: SqliteHandle;
  readonly presence: Pick<FilePresence, "look" | "require">;
  readonly log: Log;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonicMs: () => number;
  /** How many transactions share a commit at most. */
  readonly maxUnits?: number;
  /** After how many milliseconds a batch takes in no further transaction. */
  readonly maxBatchMs?: number;
  /** How long to wait for another process's write lock, in milliseconds. */
  readonly lockWaitMs?: number;
  /** How long one transaction may keep the others waiting, in milliseconds; 0: as long as it likes. */
  readonly maxUnitMs?: number;
  /** Called after each commit. Must be cheap, and never throw. */
  readonly onCommit?: () => void;
  /** Turns at writing, where other processes of this server write as well; a batch takes one. */
  readonly turns?: Turns | undefined;
}

interface Waiter {
  resolve(unit: WriteUnit): void;
  reject(error: unknown): void;
}

interface Unit extends WriteUnit {
  isEnded: boolean;
  startedAtMs: number;
}

/** How often another process's write lock is tried again, in milliseconds. */
const lockRetryMs = 5;

/**
 * The writer of an SQLite file: transactions one after another, with as few
 * commits as they allow.
 *
 * A commit under `synchronous=FULL` waits for the disk, so those transactions
 * that are ready in the same turn of the event loop share one: the outer
 * `BEGIN IMMEDIATE` stays open, each runs in a savepoint of its own (one that
 * fails is rolled back alone), and a single `COMMIT` makes all of them durable.
 * None is acknowledged before that has returned; if it fails, all fail. Nor if
 * the file has gone from its place by then: nobody would ever read what was written.
 */
export class GroupCommit {
  readonly #handle: SqliteHandle;
  readonly #presence: GroupCommitOptions["presence"];
  readonly #log: Log;
  readonly #monotonicMs: () => number;
  readonly #maxUnits: number;
  readonly #maxBatchMs: number;
  readonly #lockWaitMs: number;
  readonly #maxUnitMs: number;
  readonly #onCommit: (() => void) | undefined;
  readonly #turns: Turns | undefined;

  #waiting: Waiter[] = [];
  #current: Unit | undefined;
  /** Released and not yet committed: what their callers wait for. */
  #released: { resolve(): void; reject(error: unknown): void }[] = [];
  #openedAtMs = 0;
  #isOpen = false;
  #isCommitScheduled = false;
  #lockRetry: NodeJS.Timeout | undefined;
  #lockWaitSinceMs: number | undefined;
  #watchdog: NodeJS.Timeout | undefined;
  #isClosed = false;
  #commitCount = 0;
  #onIdle: (() => void) | undefined;

  constructor(options: GroupCommitOptions) {
    this.#handle = options.handle;
    this.#presence = options.presence;
    this.#log = options.log;
    this.#monotonicMs = options.monotonicMs;
    this.#maxUnits = options.maxUnits ?? 64;
    this.#maxBatchMs = options.maxBatchMs ?? 5;
    this.#lockWaitMs = options.lockWaitMs ?? 2000;
    this.#maxUnitMs = options.maxUnitMs ?? 10_000;
    this.#onCommit = options.onCommit;
    this.#turns = options.turns;
  }

  /** How many transactions wait for their turn. */
  get waitingCount(): number {
    return this.#waiting.length;
  }

  /** How many commits there were: each made all transactions durable that shared it. */
  get commitCount(): number {
    return this.#commitCount;
  }

  /**
   * Resolves when it is the caller's turn to write.
   *
   * @throws DomainError UNAVAILABLE when the file stays locked or cannot be written.
   */
  begin(): Promise<WriteUnit> {
    if (this.#isClosed) return Promise.reject(new DomainError("UNAVAILABLE", { detail: "database: closed" }));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#advance();
    });
  }

  /** Resolves once the unit is durable. @throws DomainError UNAVAILABLE, or what the commit failed with. */
  commit(unit: WriteUnit): Promise<void> {
    if (unit !== this.#current) return Promise.reject(new Error("the transaction has ended"));
    return new Promise((resolve, reject) => {
      try {
        this.#handle.run("release unit");
        this.#released.push({ resolve, reject });
      } catch (error) {
        this.#undo();
        reject(error);
      }
      this.#endCurrent();
    });
  }

  /** Undoes the unit alone. Does nothing when it has ended already. */
  rollback(unit: WriteUnit): void {
    if (unit !== this.#current) return;
    this.#undo();
    this.#endCurrent();
  }

  /** Lets those that wait finish, takes no more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (!this.#isIdle()) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    clearTimeout(this.#watchdog);
  }

  #isIdle(): boolean {
    return !this.#isOpen && !this.#current && this.#waiting.length === 0;
  }

  /** Gives the next waiting transaction its turn, or arranges the commit. */
  #advance(): void {
    if (this.#current) return;
    if (this.#isOpen && this.#isBatchFull()) this.#commitBatch();
    if (this.#waiting.length === 0) {
      if (this.#isOpen) this.#scheduleCommit();
      else this.#settleIdle();
      return;
    }
    if (!this.#isOpen && !this.#open()) return;
    this.#startNext();
  }

  #startNext(): void {
    const waiter = this.#waiting.shift();
    if (!waiter) return;
    try {
      this.#handle.run("savepoint unit");
    } catch (error) {
      this.#dropBatchIfLost(error);
      waiter.reject(error);
      queueMicrotask(() => this.#advance());
      return;
    }
    this.#current = { isEnded: false, startedAtMs: this.#monotonicMs() };
    this.#watch();
    waiter.resolve(this.#current);
  }

  #endCurrent(): void {
    if (this.#current) this.#current.isEnded = true;
    this.#current = undefined;
    this.#advance();
  }

  #isBatchFull(): boolean {
    return (
      this.#released.length >= this.#maxUnits ||
      (this.#released.length > 0 && this.#monotonicMs() - this.#openedAtMs >= this.#maxBatchMs)
    );
  }

  /**
   * Commits after the sockets that are ready now have been read: what they
   * bring may still join.
   */
  #scheduleCommit(): void {
    if (this.#isCommitScheduled) return;
    this.#isCommitScheduled = true;
    setImmediate(() => {
      this.#isCommitScheduled = false;
      if (this.#isOpen && !this.#current) {
        this.#commitBatch();
        this.#advance();
      }
    });
  }

  #commitBatch(): void {
    const released = this.#released;
    this.#released = [];
    this.#isOpen = false;
    try {
      this.#handle.run("commit");
      this.#presence.look();
      this.#presence.require();
    } catch (error) {
      this.#rollbackBatch();
      this.#turns?.end();
      for (const unit of released) unit.reject(error);
      this.#settleIdle();
      return;
    }
    this.#turns?.end();
    this.#commitCount += 1;
    for (const unit of released) unit.resolve();
    this.#onCommit?.();
    this.#settleIdle();
  }

  #settleIdle(): void {
    if (this.#isIdle()) this.#onIdle?.();
  }

  /**
   * Opens the outer transaction. When it is another process's turn, or the file
   * is locked, tries again later and answers false.
   */
  #open(): boolean {
    if (this.#lockRetry) return false;
    if (this.#turns?.begin(() => this.#advance()) === false) return false;
    try {
      this.#presence.require();
      this.#handle.run("begin immediate");
    } catch (error) {
      this.#retryOpen(error);
      return false;
    }
    this.#lockWaitSinceMs = undefined;
    this.#isOpen = true;
    this.#openedAtMs = this.#monotonicMs();
    return true;
  }

  #retryOpen(error: unknown): void {
    const now = this.#monotonicMs();
    this.#lockWaitSinceMs ??= now;
    if (!isSqliteBusy(error) || now - this.#lockWaitSinceMs >= this.#lockWaitMs) {
      this.#lockWaitSinceMs = undefined;
      this.#turns?.end();
      for (const waiter of this.#waiting.splice(0)) waiter.reject(error);
      this.#settleIdle();
      return;
    }
    this.#lockRetry = setTimeout(() => {
      this.#lockRetry = undefined;
      this.#advance();
    }, lockRetryMs);
  }

  #undo(): void {
    try {
      if (this.#handle.inTransaction) {
        this.#handle.run("rollback to unit");
        this.#handle.run("release unit");
        return;
      }
      this.#dropBatchIfLost(new Error("SQLite rolled the transaction back"));
    } catch (error) {
      this.#rollbackBatch();
      this.#dropBatchIfLost(error);
    }
  }

  #rollbackBatch(): void {
    try {
      if (this.#handle.inTransaction) this.#handle.run("rollback");
    } catch (error) {
      this.#log.error({ err: error }, "could not roll back");
    }
  }

  /** SQLite ends the outer transaction by itself when the disk is full or fails: then all of the batch is gone. */
  #dropBatchIfLost(error: unknown): void {
    if (this.#handle.inTransaction) return;
    this.#isOpen = false;
    this.#turns?.end();
    const cause = toUnavailable(error);
    const reason =
      cause instanceof DomainError
        ? cause
        : new DomainError("UNAVAILABLE", { cause, detail: "database: shared commit lost" });
    for (const unit of this.#released.splice(0)) unit.reject(reason);
  }

  /** A transaction that waits for something else than the database must not stop all others for ever. */
  #watch(): void {
    if (this.#maxUnitMs === 0) return;
    this.#watchdog ??= setInterval(() => {
      const unit = this.#current;
      if (!unit || this.#monotonicMs() - unit.startedAtMs < this.#maxUnitMs) return;
      this.#log.error({ maxUnitMs: this.#maxUnitMs }, "a transaction took too long and was rolled back");
      this.rollback(unit);
    }, this.#maxUnitMs / 2).unref();
  }
}
