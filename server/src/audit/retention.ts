import type { Database } from "../db/database.ts";
import { sweepInBatches } from "../db/sweep.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { deleteRecordsBefore } from "./store.ts";

/** How long records are kept, and by whose clock. */
export interface AuditRetentionOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  /** How long records are kept. */
  readonly retentionSeconds: number;
  /** Pause between two sweeps, in milliseconds. */
  readonly sweepEveryMs?: number;
}

/** Removes records that have been kept long enough, now and then, a few at a time. */
export class AuditRetention {
  readonly #options: Required<AuditRetentionOptions>;
  #timer: NodeJS.Timeout | undefined;
  #sweep: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: AuditRetentionOptions) {
    this.#options = { sweepEveryMs: 60_000, ...options };
  }

  /**
   * Sweeps from now on, first when the pause has passed: a server that starts
   * has other things to do. Failures are logged and made up for by the next sweep.
   */
  start(): void {
    this.#timer = setTimeout(async () => {
      this.#sweep = this.sweep();
      await this.#sweep;
      if (!this.#isClosed) this.start();
    }, this.#options.sweepEveryMs).unref();
  }

  /** Ends after the batch in progress. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#sweep;
  }

  /** Removes all that is due. Never rejects. */
  async sweep(): Promise<void> {
    const { database, clock, log, retentionSeconds } = this.#options;
    const horizon = new Date(clock.now().getTime() - retentionSeconds * 1000);
    try {
      await sweepInBatches(database, async (tx, limit) =>
        this.#isClosed ? 0 : await deleteRecordsBefore(tx, horizon, limit),
      );
    } catch (error) {
      log.warn({ err: error }, "old audit records could not be removed; will try again");
    }
  }
}
