/**
 * The change feed: what makes a revocation hold "at once".
 *
 * Whoever changes something that is cached anywhere appends a row to the feed
 * in the same transaction. In the process that did it, caches are told after
 * the commit and before the answer; every other process reads the feed several
 * times a second (and, on Postgres, whenever it is notified). A process that
 * has not managed to read it for two seconds says so by `isConfirmed()`, and
 * caches then step aside. A process that lost its place, because the database
 * was restored or it fell behind what has been pruned, resets its caches.
 */
import type { Database, Tx } from "../db/database.ts";
import { findMove } from "../db/moves.ts";
import { type Clock, systemMonotonicMs } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import {
  changesChannel,
  deleteChangesBefore,
  findLastChange,
  insertChanges,
  isUnbroken,
  listChangesFrom,
  pageSize,
  type StoredChange,
} from "./change-store.ts";
import type { Change } from "./topics.ts";

/** The database as the feed needs it: that it can wake this process up, if it can. */
export interface FeedDatabase extends Database {
  listen(channel: string, onNotify: () => void): () => Promise<void>;
  wakeOthers(): void;
}

/** A subscriber to changes. A change may be told twice. Neither method may throw. */
export interface ChangeListener {
  onChange(change: Change): void;
  /** Anything may have changed. */
  onReset(): void;
}

/** Where the feed reads and writes, and how often it looks. */
export interface ChangeFeedOptions {
  readonly database: FeedDatabase;
  readonly clock: Clock;
  readonly log: Log;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonicMs?: () => number;
  /** Pause between two reads, in milliseconds: 250 on SQLite, 500 on Postgres, which also notifies. */
  readonly pollIntervalMs?: number;
}

/** After how long without a read the feed is not to be trusted, in milliseconds. */
const confirmedForMs = 2000;

/** How long rows are kept, and how often old ones are removed, in milliseconds. */
const retentionMs = 3_600_000;
const pruneIntervalMs = 600_000;

/** Contract §5, "At once". */
export class ChangeFeed {
  readonly #database: FeedDatabase;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #monotonicMs: () => number;
  readonly #pollIntervalMs: number;
  readonly #listeners = new Set<ChangeListener>();

  /** The newest row that has been applied here, whoever wrote it. */
  #last: StoredChange | undefined;
  /** Places written and applied by this process that reading has not reached yet. */
  readonly #ownSeqs = new Set<number>();
  #confirmedAtMs: number | undefined;
  #prunedAtMs = 0;
  #isStarted = false;
  #isFailing = false;
  #timer: NodeJS.Timeout | undefined;
  #poll: Promise<void> | undefined;
  #nextPoll: Promise<void> | undefined;
  #unlisten: (() => Promise<void>) | undefined;

  constructor(options: ChangeFeedOptions) {
    this.#database = options.database;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#monotonicMs = options.monotonicMs ?? systemMonotonicMs;
    this.#pollIntervalMs = options.pollIntervalMs ?? (options.database.dialect === "sqlite" ? 250 : 500);
  }

  /**
   * Adds changes to the feed, to be published if and when `tx` commits.
   *
   * Append last, after the rows themselves: on Postgres this takes a lock that
   * all transactions with changes share, and a row lock taken while holding it
   * can meet another transaction the wrong way round.
   */
  async append(tx: Tx, ...changes: readonly Change[]): Promise<void> {
    if (changes.length === 0) return;
    const seqs = await insertChanges(tx, changes, this.#clock.now());
    this.#database.afterCommit(tx, () => {
      for (const seq of seqs) this.#rememberOwn(seq);
      for (const change of changes) this.#tellChange(change);
      this.#database.wakeOthers();
    });
  }

  /** Calls the listener for every change from now on. Returns what ends that. */
  subscribe(listener: ChangeListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Whether this process knew of every change less than two seconds ago. Before `start`, no. */
  isConfirmed(): boolean {
    return this.#confirmedAtMs !== undefined && this.#monotonicMs() - this.#confirmedAtMs < confirmedForMs;
  }

  /** Seconds since this process last knew of every change; undefined before `start` and after `stop`. */
  get secondsSinceConfirmed(): number | undefined {
    return this.#confirmedAtMs === undefined ? undefined : (this.#monotonicMs() - this.#confirmedAtMs) / 1000;
  }

  /**
   * Takes its place at the end of the feed and follows it from there.
   *
   * @throws DomainError UNAVAILABLE when the database cannot be read.
   */
  async start(): Promise<void> {
    const startedAtMs = this.#monotonicMs();
    this.#last = await findLastChange(this.#database.reader);
    this.#isStarted = true;
    this.#tellReset();
    await this.#tellIfMoved();
    this.#confirmedAtMs = startedAtMs;
    this.#prunedAtMs = startedAtMs;
    this.#unlisten = this.#database.listen(changesChannel, () => void this.pollNow());
    this.#schedule();
  }

  /** Stops following. Caches are bypassed from now on. */
  async stop(): Promise<void> {
    this.#isStarted = false;
    this.#confirmedAtMs = undefined;
    clearTimeout(this.#timer);
    await this.#unlisten?.();
    await this.#nextPoll;
    await this.#poll;
    this.#confirmedAtMs = undefined;
  }

  /**
   * Reads the feed with a read that begins after this call, and applies what it
   * finds. Never rejects: a failed read shows in `isConfirmed`.
   */
  pollNow(): Promise<void> {
    if (!this.#poll) {
      this.#poll = this.#readOnce().finally(() => {
        this.#poll = undefined;
      });
      return this.#poll;
    }
    this.#nextPoll ??= this.#poll.then(() => {
      this.#nextPoll = undefined;
      return this.pollNow();
    });
    return this.#nextPoll;
  }

  /** Removes rows older than an hour. Called now and then by the feed itself. */
  async prune(): Promise<void> {
    const horizon = new Date(this.#clock.now().getTime() - retentionMs);
    await this.#database.transaction((tx) => deleteChangesBefore(tx, horizon));
  }

  #schedule(): void {
    this.#timer = setTimeout(async () => {
      await this.pollNow();
      await this.#pruneIfDue();
      if (this.#isStarted) this.#schedule();
    }, this.#pollIntervalMs);
  }

  async #readOnce(): Promise<void> {
    if (!this.#isStarted) return;
    const beganAtMs = this.#monotonicMs();
    try {
      while (await this.#readPage());
      if (this.#isStarted) this.#confirmedAtMs = beganAtMs;
      if (this.#isFailing) this.#log.info({}, "the change feed can be read again");
      this.#isFailing = false;
    } catch (error) {
      if (!this.#isFailing) this.#log.warn({ err: error }, "cannot read the change feed: caches step aside");
      this.#isFailing = true;
    }
  }

  /** Reads and applies one page. Answers whether there may be more. */
  async #readPage(): Promise<boolean> {
    const rows = await listChangesFrom(this.#database.reader, this.#lastSeq);
    if (!isUnbroken(this.#last, rows)) {
      await this.#takeNewPlace();
      return false;
    }
    for (const row of rows) this.#applyRow(row);
    return rows.length === pageSize;
  }

  get #lastSeq(): number {
    return this.#last?.seq ?? 0;
  }

  async #takeNewPlace(): Promise<void> {
    const last = await findLastChange(this.#database.reader);
    await this.#tellIfMoved();
    this.#log.warn(
      { from: this.#lastSeq, to: last?.seq ?? 0 },
      "lost the place in the change feed: caches are reset",
    );
    this.#last = last;
    this.#ownSeqs.clear();
    this.#tellReset();
  }

  /** Whoever takes a place behind that change never reads it. */
  async #tellIfMoved(): Promise<void> {
    const move = await findMove(this.#database.reader);
    if (move?.state === "moved") this.#tellChange({ topic: "database", subject: move.place });
  }

  #applyRow(row: StoredChange): void {
    const { seq, topic, subject } = row;
    if (seq <= this.#lastSeq) return;
    this.#last = row;
    if (!this.#ownSeqs.delete(seq)) this.#tellChange({ topic, subject });
  }

  /** Reading may have met the row, and told of it, before the commit was reported here. */
  #rememberOwn(seq: number): void {
    if (this.#isStarted && seq > this.#lastSeq) this.#ownSeqs.add(seq);
  }

  async #pruneIfDue(): Promise<void> {
    const now = this.#monotonicMs();
    if (!this.#isStarted || now - this.#prunedAtMs < pruneIntervalMs) return;
    this.#prunedAtMs = now;
    await this.prune().catch((error: unknown) =>
      this.#log.warn({ err: error }, "could not prune the change feed"),
    );
  }

  #tellChange(change: Change): void {
    for (const listener of this.#listeners) this.#tell(() => listener.onChange(change));
  }

  #tellReset(): void {
    for (const listener of this.#listeners) this.#tell(() => listener.onReset());
  }

  #tell(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#log.error({ err: error }, "a listener of the change feed threw");
    }
  }
}
