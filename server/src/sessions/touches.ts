/**
 * Notes when sessions are used, off the hot path: at most once a minute each,
 * gathered and written together. What cannot be written is dropped, for it is
 * only shown to people.
 */
import type { Database } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { touchSessions } from "./store.ts";

export interface SessionTouchesOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  /** Longest time from a use to its transaction, in milliseconds. */
  readonly flushAfterMs?: number;
}

/** Longest lag of `updated_at`, in milliseconds. */
export const touchEveryMs = 60_000;

/** How many rows one transaction takes. */
const rowsPerTransaction = 200;

/** @see the head of this file */
export class SessionTouches {
  readonly #options: SessionTouchesOptions;
  #pending = new Map<string, Date>();
  #timer: NodeJS.Timeout | undefined;
  #flush: Promise<void> | undefined;

  constructor(options: SessionTouchesOptions) {
    this.#options = options;
  }

  /** The session was used at `at`. */
  record(id: string, at: Date): void {
    this.#pending.set(id, at);
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => void this.flush(), this.#options.flushAfterMs ?? 1000);
    this.#timer.unref();
  }

  /** Writes what waits. Never rejects. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#flush;
    this.#flush = this.#write().finally(() => {
      this.#flush = undefined;
    });
    await this.#flush;
  }

  async #write(): Promise<void> {
    const uses = [...this.#pending].map(([id, at]) => ({ id, at }));
    this.#pending = new Map();
    const { database, log } = this.#options;
    try {
      for (let from = 0; from < uses.length; from += rowsPerTransaction) {
        const part = uses.slice(from, from + rowsPerTransaction);
        await database.transaction((tx) => touchSessions(tx, part));
      }
    } catch (error) {
      log.warn({ err: error }, "the last use of sessions could not be noted");
    }
  }
}
