import { Tally } from "../lib/counts.ts";
import type { Log } from "../lib/log.ts";
import { oneAtATime } from "../lib/one-at-a-time.ts";
import { byLabel, counter, type Metric } from "./metric.ts";

/** How often rooms are looked after, in milliseconds. */
const everyMs = 60_000;

/** Something that must not wait for anything else, such as the rotation of keys. */
export interface Chore {
  /** For the log: `upkeep of signing keys`. */
  readonly name: string;
  run(): Promise<unknown>;
}

/** Removes rows whose time is over. */
export interface Sweep {
  /** What they are, as metrics call it: `sessions`. */
  readonly kind: string;
  /** Removes all there are, in batches that keep nobody waiting, and answers how many. */
  run(): Promise<number>;
}

/**
 * Looks after the rooms once a minute. Chores run side by side. Sweeps run one
 * after another, so that however much there is to remove, the database hears
 * of one batch at a time. Whatever is still under way is not begun again, and
 * what fails is logged and tried again a minute later.
 */
export class Upkeep {
  readonly #log: Log;
  readonly #tasks: readonly (() => Promise<void>)[];
  readonly #swept: Tally<string>;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: {
    readonly chores: readonly Chore[];
    readonly sweeps: readonly Sweep[];
    readonly log: Log;
  }) {
    const { chores, sweeps, log } = options;
    this.#log = log;
    this.#swept = new Tally(sweeps.map(({ kind }) => kind));
    const sweepAll = async () => {
      for (const sweep of sweeps) await this.#sweep(sweep);
    };
    this.#tasks = [...chores.map((chore) => () => this.#do(chore)), sweepAll].map(oneAtATime);
  }

  /** How many rows were removed. */
  get metrics(): readonly Metric[] {
    const help = "Rows that were removed because their time was over.";
    return [counter("swept_rows_total", help, () => byLabel("kind", this.#swept.read()))];
  }

  start(): void {
    this.#timer = setInterval(() => void this.run(), everyMs);
  }

  /** Begins nothing any more. */
  stop(): void {
    clearInterval(this.#timer);
  }

  /** Does at once what is not under way. Never rejects. */
  async run(): Promise<void> {
    await Promise.all(this.#tasks.map((task) => task()));
  }

  async #do({ name, run }: Chore): Promise<void> {
    try {
      await run();
    } catch (err) {
      this.#log.error({ err }, `${name} failed; will try again`);
    }
  }

  async #sweep({ kind, run }: Sweep): Promise<void> {
    try {
      this.#swept.add(kind, await run());
    } catch (err) {
      this.#log.error({ err, kind }, "what is over could not be removed; will try again");
    }
  }
}
