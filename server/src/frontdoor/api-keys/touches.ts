/**
 * Notes when keys are used, off the hot path: at most once a minute each,
 * gathered and written together. What cannot be written is dropped, for it is
 * only shown to people.
 */
import type { Database } from "../../db/database.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import { touchApiKeys } from "./store.ts";

export interface ApiKeyTouchesOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  /** Longest time from a use to its transaction, in milliseconds. */
  readonly flushAfterMs?: number;
}

/** How far `last_used_at` may lag behind, in milliseconds. */
const touchEveryMs = 60_000;

/** How many keys are remembered as noted, and how many rows one transaction takes. */
const maxNoted = 20_000;
const rowsPerTransaction = 40;

/** @see the head of this file */
export class ApiKeyTouches {
  readonly #options: ApiKeyTouchesOptions;
  /** When each key's use was last noted. */
  readonly #noted = new Map<string, Date>();
  #pending = new Map<string, Date>();
  #timer: NodeJS.Timeout | undefined;
  #flush: Promise<void> | undefined;

  constructor(options: ApiKeyTouchesOptions) {
    this.#options = options;
  }

  /** The key was used now. Never blocks, never throws. */
  note(id: string): void {
    const now = this.#options.clock.now();
    const noted = this.#noted.get(id);
    if (noted !== undefined && Math.abs(now.getTime() - noted.getTime()) < touchEveryMs) return;
    if (this.#noted.size >= maxNoted) this.#noted.clear();
    this.#noted.set(id, now);
    this.#pending.set(id, now);
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => void this.flush(), this.#options.flushAfterMs ?? 100);
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
        await database.transaction((tx) => touchApiKeys(tx, part));
      }
    } catch (error) {
      log.warn({ err: error }, "the last use of API keys could not be noted");
    }
  }
}
