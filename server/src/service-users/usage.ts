/**
 * Counts what credentials are used for: calls by day, and when last.
 *
 * A proof only adds to a map in memory. What is there is written within 100 ms
 * in one transaction, which never keeps a request waiting and is tried again
 * when it fails; at a crash the last 100 ms of counts are lost, nothing else.
 * Days are UTC and kept for {@link usageKeptDays}.
 */
import type { Database, Tx } from "../db/database.ts";
import { lockForTransaction } from "../db/dialect.ts";
import { sweepInBatches } from "../db/sweep.ts";
import { type Clock, clockSlackMs } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import {
  addCalls,
  type DailyCalls,
  deleteCallsOutside,
  lockServiceUsers,
  touchLastUsed,
} from "./usage-store.ts";

/** For how many days calls are kept, today included. */
export const usageKeptDays = 90;

/** How many counts wait to be written at most; further credentials go uncounted while a database is away. */
const maxPending = 50_000;

/** A last use is written when the one that is stored is this much older. */
const coarsenessMs = 60_000;

const dayMs = 86_400_000;

/** Advisory lock of Postgres: processes write their counts one after another. */
const usageLockKey = 7_400_005;

const firstRetryMs = 1000;
const lastRetryMs = 30_000;

/** The day an instant lies in, UTC, `YYYY-MM-DD`. */
export function toDay(instant: Date): string {
  return instant.toISOString().slice(0, 10);
}

/** The first of the last `days` days, today included. */
export function firstDayOf(days: number, now: Date): string {
  return toDay(new Date(now.getTime() - (days - 1) * dayMs));
}

interface Count extends DailyCalls {
  calls: number;
  lastAtMs: number;
}

/** Where calls of machines are counted, and how long that may wait. */
export interface UsageRecorderOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  /** How long counts wait to share a transaction, in milliseconds. */
  readonly flushDelayMs?: number;
}

/** Collects uses and writes them behind the requests' back. */
export class UsageRecorder {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #flushDelayMs: number;

  /** By credential and day. */
  #pending = new Map<string, Count>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<boolean> | undefined;
  #failures = 0;
  #droppedCalls = 0;
  #lostCalls = 0;
  #today = { number: Number.NaN, day: "" };
  #sweptDay = "";
  #isClosed = false;

  constructor(options: UsageRecorderOptions) {
    this.#database = options.database;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#flushDelayMs = options.flushDelayMs ?? 80;
  }

  /** Counts that wait to be written, each of a credential and a day. */
  get waitingCount(): number {
    return this.#pending.size;
  }

  /** Calls that went uncounted since the start: too many waited. */
  get lostCalls(): number {
    return this.#lostCalls;
  }

  /** Notes a successful proof. Never waits, never throws. */
  recordUse(credentialId: string, serviceUserId: string, at: Date): void {
    this.#add({ credentialId, serviceUserId, day: this.#dayOf(at), calls: 1, lastAtMs: at.getTime() });
    this.#schedule(this.#flushDelayMs);
  }

  /** Writes what is there. Resolves when it is stored, or will be tried again. */
  async flush(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
    if (this.#pending.size > 0) await this.#write();
  }

  /**
   * Removes counts older than {@link usageKeptDays}, and those of days that a
   * clock was in which ran ahead, a few at a time; does nothing twice a day.
   */
  async sweep(): Promise<number> {
    const now = this.#clock.now();
    const today = toDay(now);
    if (this.#sweptDay === today) return 0;
    const from = firstDayOf(usageKeptDays, now);
    // Another process may be in the next day already.
    const to = toDay(new Date(now.getTime() + clockSlackMs));
    const removed = await sweepInBatches(this.#database, async (tx, limit) =>
      this.#isClosed ? 0 : await deleteCallsOutside(tx, from, to, limit),
    );
    this.#sweptDay = today;
    return removed;
  }

  /** Writes what is there, once, and schedules nothing any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.flush();
  }

  /** Remembers the day at hand: a date is formatted once a day, not once a call. */
  #dayOf(at: Date): string {
    const number = Math.floor(at.getTime() / dayMs);
    if (this.#today.number !== number) this.#today = { number, day: toDay(at) };
    return this.#today.day;
  }

  #add(count: Count): void {
    const key = `${count.credentialId} ${count.day}`;
    const known = this.#pending.get(key);
    if (known !== undefined) {
      known.calls += count.calls;
      known.lastAtMs = Math.max(known.lastAtMs, count.lastAtMs);
    } else if (this.#pending.size < maxPending) {
      this.#pending.set(key, count);
    } else {
      this.#droppedCalls += count.calls;
      this.#lostCalls += count.calls;
    }
  }

  #schedule(delayMs: number): void {
    if (this.#timer !== undefined || this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.flush();
    }, delayMs);
    this.#timer.unref();
  }

  async #write(): Promise<void> {
    const counts = [...this.#pending.values()];
    this.#pending = new Map();
    this.#writing = this.#store(counts);
    const isStored = await this.#writing;
    this.#writing = undefined;
    if (isStored) this.#failures = 0;
    else this.#tryAgainLater(counts);
    this.#tellDropped();
  }

  async #store(counts: readonly Count[]): Promise<boolean> {
    try {
      await this.#database.transaction(async (tx) => {
        await lockForTransaction(tx, usageLockKey);
        await lockServiceUsers(tx, [...new Set(counts.map(({ serviceUserId }) => serviceUserId))]);
        await touchAll(tx, "service_users", counts, ({ serviceUserId }) => serviceUserId);
        await touchAll(tx, "service_user_credentials", counts, ({ credentialId }) => credentialId);
        await addCalls(tx, counts);
      });
      return true;
    } catch (err) {
      // Once until it is written again, and in words where there are some.
      if (this.#failures === 0) {
        const why =
          err instanceof DomainError && err.detail !== undefined ? { failure: err.detail } : { err };
        this.#log.warn({ ...why, counts: counts.length }, "usage could not be written; will try again");
      }
      return false;
    }
  }

  #tryAgainLater(counts: readonly Count[]): void {
    for (const count of counts) this.#add(count);
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#schedule(Math.min(firstRetryMs * 2 ** this.#failures, lastRetryMs));
    this.#failures += 1;
  }

  #tellDropped(): void {
    if (this.#droppedCalls === 0) return;
    this.#log.warn({ calls: this.#droppedCalls }, "calls went uncounted: too many wait to be written");
    this.#droppedCalls = 0;
  }
}

/**
 * Moves last uses forward, with one statement for all of the same second.
 * Service users come before credentials, as they do where either is changed,
 * so that two transactions never wait for each other in a circle.
 */
async function touchAll(
  tx: Tx,
  table: "service_users" | "service_user_credentials",
  counts: readonly Count[],
  idOf: (count: Count) => string,
): Promise<void> {
  const groups = Map.groupBy(counts, ({ lastAtMs }) => Math.floor(lastAtMs / 1000));
  for (const group of groups.values()) {
    const atMs = Math.max(...group.map(({ lastAtMs }) => lastAtMs));
    const staleBefore = new Date(atMs - coarsenessMs + 1);
    await touchLastUsed(tx, table, [...new Set(group.map(idOf))], new Date(atMs), staleBefore);
  }
}
