import type { Log } from "./log.ts";

/** A process ended, and not all that it had to do before that is done. */
class GaveUpError extends Error {
  override readonly name = "GaveUpError";
}

/**
 * The steps by which a process stops. None may keep it for ever, whatever it
 * waits for: each has a deadline, and all of them together have one, which
 * counts from the first. What is not done by then is given up and named.
 */
export class Stopping {
  readonly #log: Log;
  readonly #totalMs: number;
  readonly #givenUp: string[] = [];
  #endsAtMs: number | undefined;

  constructor(options: { readonly log: Log; readonly totalMs: number }) {
    this.#log = options.log;
    this.#totalMs = options.totalMs;
  }

  /** Milliseconds that are left of the whole time. */
  get leftMs(): number {
    this.#endsAtMs ??= performance.now() + this.#totalMs;
    return Math.max(0, this.#endsAtMs - performance.now());
  }

  /** Waits for `work`, but no longer than `ms`, nor than there is time left. Never rejects. */
  async step(name: string, ms: number, work: () => unknown): Promise<void> {
    const deadline = Promise.withResolvers<"late">();
    const timer = setTimeout(() => deadline.resolve("late"), Math.min(ms, this.leftMs));
    try {
      const outcome = await Promise.race([Promise.resolve(work()), deadline.promise]);
      if (outcome === "late") this.giveUp(name);
    } catch (err) {
      this.giveUp(name, err);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Notes what is not going to be done. */
  giveUp(name: string, err?: unknown): void {
    this.#givenUp.push(name);
    this.#log.error({ step: name, ...(err !== undefined && { err }) }, "stopping: given up");
  }

  /** @throws GaveUpError naming what was given up, if anything was. */
  finish(): void {
    if (this.#givenUp.length === 0) return;
    throw new GaveUpError(`stopped without having finished: ${this.#givenUp.join(", ")}`);
  }
}
