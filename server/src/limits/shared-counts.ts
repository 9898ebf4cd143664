/**
 * Counts that all processes on a database share.
 *
 * Counting and asking are looks into memory; behind them this process tells
 * the table what it counted and learns what others did, each several times a
 * second. While the database is down every process counts for itself.
 *
 * Processes are expected to agree on the time within a few seconds, as access
 * tokens demand anyway.
 */
import type { Database } from "../db/database.ts";
import { type Clock, clockSlackMs } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { addCounts, countsPerRead, deleteCountsOutside, findCountsUpdatedSince } from "./store.ts";
import { bucketMs, WindowCounts } from "./window-counts.ts";

/** Where counts are shared between processes, over which window, and how often. */
export interface SharedCountsOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly windowMs: number;
  /** How many keys are told apart. */
  readonly maxKeys?: number;
  /** Pause between two exchanges with the table, in milliseconds. */
  readonly exchangeEveryMs?: number;
}

/** How many buckets one transaction takes. */
const countsPerTransaction = 256;

/** How often buckets nobody needs any more are removed, in milliseconds. */
const pruneEveryMs = 60_000;

/** @see the head of this file */
export class SharedCounts {
  readonly #options: SharedCountsOptions;
  readonly #counts: WindowCounts;
  readonly #exchangeEveryMs: number;
  #learnFrom: Date;
  #prunedAt: Date;
  #hasLearnt = false;
  #isFailing = false;
  #isClosed = false;
  #timer: NodeJS.Timeout | undefined;
  #exchange: Promise<void> | undefined;
  /** Of keys that {@link addTogether} waits for: how many events since the first, and how many wait. */
  readonly #placed = new Map<string, { placed: number; waiting: number }>();

  constructor(options: SharedCountsOptions) {
    this.#options = options;
    this.#counts = new WindowCounts({ windowMs: options.windowMs, maxKeys: options.maxKeys ?? 50_000 });
    this.#exchangeEveryMs = options.exchangeEveryMs ?? 250;
    this.#prunedAt = options.clock.now();
    this.#learnFrom = this.#windowStart();
  }

  /** Learns what others counted, and goes on doing so. Never rejects: without the database it counts alone. */
  async start(): Promise<void> {
    await this.exchange();
    this.#schedule();
  }

  /** Tells the table what it does not know, and ends. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#exchange;
    await this.exchange();
  }

  /** Events of a key in the window that ends now. */
  total(key: string): number {
    return this.#counts.total(key, this.#options.clock.now());
  }

  /** Counts one event and answers the new total. */
  add(key: string): number {
    return this.#counts.add(key, this.#options.clock.now());
  }

  /**
   * Counts one event and answers its place among those of all processes. Of
   * events that are counted at the same time, wherever, each has another place,
   * so that no more than a limit allows have one within it. Never rejects:
   * without the database it is the place in this process.
   */
  async addTogether(key: string): Promise<number> {
    if (!this.#options.database.isShared) return this.add(key);
    const own = this.#placed.get(key) ?? { placed: 0, waiting: 0 };
    this.#placed.set(key, own);
    own.placed += 1;
    own.waiting += 1;
    const placedBefore = own.placed;
    this.add(key);
    // One that is under way may have taken what waits before this event came; those who wait share the next.
    await this.#exchange;
    await this.exchange();
    const place = this.total(key) - (own.placed - placedBefore);
    own.waiting -= 1;
    if (own.waiting === 0) this.#placed.delete(key);
    return place;
  }

  /** Takes an event back that was counted at `at`, here or by another process. */
  giveBack(key: string, at: Date): void {
    this.#counts.giveBack(key, at, this.#options.clock.now());
  }

  /** Whole seconds, at least 1, until a key's total has fallen below `limit`. */
  secondsUntilBelow(key: string, limit: number): number {
    return this.#counts.secondsUntilBelow(key, limit, this.#options.clock.now());
  }

  /** Tells and learns, once. Never rejects. */
  exchange(): Promise<void> {
    this.#exchange ??= this.#exchangeOnce().finally(() => {
      this.#exchange = undefined;
    });
    return this.#exchange;
  }

  #schedule(): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(async () => {
      await this.exchange();
      this.#schedule();
    }, this.#exchangeEveryMs);
    this.#timer.unref();
  }

  #windowStart(): Date {
    return new Date(this.#options.clock.now().getTime() - this.#options.windowMs - bucketMs);
  }

  async #exchangeOnce(): Promise<void> {
    const { clock, log } = this.#options;
    this.#counts.dropStale(clock.now());
    try {
      await this.#tell();
      await this.#learn();
      await this.#pruneIfDue();
      if (this.#isFailing) log.info({}, "limits are shared again");
      this.#isFailing = false;
    } catch (error) {
      if (!this.#isFailing) log.warn({ err: error }, "limits cannot be shared: this process counts alone");
      this.#isFailing = true;
    }
  }

  async #tell(): Promise<void> {
    const { database, clock } = this.#options;
    while (this.#counts.hasPending) {
      const taken = this.#counts.takePending(countsPerTransaction);
      try {
        const totals = await database.transaction((tx) => addCounts(tx, taken, clock.now()));
        for (const [index, count] of taken.entries()) this.#counts.settle(count, totals[index] ?? 0);
      } catch (error) {
        for (const count of taken) this.#counts.putBack(count);
        throw error;
      }
    }
  }

  /** Where nobody else writes, what was there at the start is all there is to learn. */
  async #learn(): Promise<void> {
    const { database, clock } = this.#options;
    if (this.#hasLearnt && !database.isShared) return;
    const now = clock.now();
    // Rows of a clock that ran ahead come last, and must not lead past those that come now.
    const latestMs = now.getTime() - clockSlackMs;
    this.#learnFrom = new Date(Math.min(this.#learnFrom.getTime(), latestMs));
    const rows = await findCountsUpdatedSince(database.reader, this.#learnFrom);
    for (const row of rows) this.#counts.learn(row, now);
    const newest = rows.at(-1)?.updatedAt;
    const isPageFull = rows.length === countsPerRead;
    this.#hasLearnt = !isPageFull;
    if (newest === undefined) return;
    // Behind the last page rows of a slower clock may still come in; a full one goes on where it ended.
    const nextMs = isPageFull ? newest.getTime() + 1 : newest.getTime() - clockSlackMs;
    this.#learnFrom = new Date(Math.max(nextMs, this.#learnFrom.getTime()));
  }

  async #pruneIfDue(): Promise<void> {
    const { database, clock } = this.#options;
    const now = clock.now();
    if (Math.abs(now.getTime() - this.#prunedAt.getTime()) < pruneEveryMs) return;
    this.#prunedAt = now;
    const from = new Date(this.#windowStart().getTime() - clockSlackMs);
    const to = new Date(now.getTime() + this.#options.windowMs);
    await database.transaction((tx) => deleteCountsOutside(tx, from, to, 5000));
  }
}
