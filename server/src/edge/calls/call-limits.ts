import type { NodeResponse } from "../../http/node-http.ts";
import { DomainError } from "../../lib/errors.ts";
import { canceled, deadlineExceeded } from "../errors/library-errors.ts";

/** What bounds all calls. */
export interface CallLimitsOptions {
  /** Longest time of a unary call, in seconds. */
  readonly requestSeconds: number;
  /** Aborts when the process must end; calls then end as `unavailable`. */
  readonly shutdownSignal?: AbortSignal | undefined;
}

/**
 * The calls under way: each has its time, and all end when the process must.
 *
 * All have the same time at most, so that the one that began first is out of
 * time first: one timer looks after all of them.
 */
export class CallLimits {
  /** Longest time of a unary call, in milliseconds. */
  readonly requestMs: number;
  /** Aborts with what callers are told when the process must end. */
  readonly shutdownSignal: AbortSignal | undefined;
  /** Each with when its time is over, in the order in which they began. */
  readonly #underWay = new Map<CallLimit, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor({ requestSeconds, shutdownSignal }: CallLimitsOptions) {
    this.requestMs = requestSeconds * 1000;
    this.shutdownSignal = shutdownSignal && toUnavailable(shutdownSignal);
    const stopAll = () => {
      for (const limit of this.#underWay.keys()) limit.stop(this.shutdownSignal?.reason);
    };
    this.shutdownSignal?.addEventListener("abort", stopAll, { once: true });
  }

  /**
   * Makes a call within its limit, which is over when the call is.
   *
   * @param timeoutMs the caller's own limit of time; a shorter one goes before ours
   */
  async during<T>(
    response: NodeResponse,
    timeoutMs: number | undefined,
    call: (limit: CallLimit) => Promise<T>,
  ): Promise<T> {
    const isShorter = timeoutMs !== undefined && timeoutMs < this.requestMs;
    const limit = new CallLimit(response, isShorter ? timeoutMs : undefined);
    this.#underWay.set(limit, performance.now() + this.requestMs);
    this.#timer ??= setTimeout(() => this.#stopLate(), this.requestMs).unref();
    if (this.shutdownSignal?.aborted) limit.stop(this.shutdownSignal.reason);
    try {
      return await call(limit);
    } finally {
      this.#underWay.delete(limit);
      limit.end();
    }
  }

  #stopLate(): void {
    const nowMs = performance.now();
    this.#timer = undefined;
    for (const [limit, endsAtMs] of this.#underWay) {
      if (endsAtMs > nowMs) {
        this.#timer = setTimeout(() => this.#stopLate(), endsAtMs - nowMs).unref();
        return;
      }
      limit.stop(deadlineExceeded());
    }
  }
}

/** Derives a signal whose reason callers may see, whatever the reason of this one. */
function toUnavailable(signal: AbortSignal): AbortSignal {
  const controller = new AbortController();
  const abort = () => controller.abort(new DomainError("UNAVAILABLE", { detail: "shutting down" }));
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  return controller.signal;
}

/**
 * How long a call may take: until its time is up, its caller goes away or the
 * process must end. Does what an AbortSignal does, and makes one only for those
 * who ask: a signal with its listeners costs more than a cheap call.
 */
export class CallLimit {
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #endsAtMs: number | undefined;
  #controller: AbortController | undefined;
  #reason: Error | undefined;
  #onStop: ((reason: Error) => void) | undefined;

  /** @param ms longest time until there is an answer; undefined for none of its own */
  constructor(response: NodeResponse, ms: number | undefined) {
    this.#endsAtMs = ms === undefined ? undefined : performance.now() + ms;
    this.#timer = ms === undefined ? undefined : setTimeout(() => this.stop(deadlineExceeded()), ms);
    // It comes once: `once` would pay for being taken off again.
    response.on("close", () => {
      this.clearTime();
      if (!response.writableFinished) this.stop(canceled());
    });
  }

  /** Aborts with the call's end, whichever it is. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Waits for `work`, but no longer than the call may take: rejects then, while the work goes on unheard. */
  wait<T>(work: PromiseLike<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#reason !== undefined) reject(this.#reason);
      else this.#onStop = reject;
      work.then(resolve, reject);
    });
  }

  /** @throws Error for which the call was cut short, if it was: nothing need be begun for it any more */
  throwIfOver(): void {
    // A timer takes a millisecond at least, in which a call whose time is over already could be answered.
    if (this.#endsAtMs !== undefined && performance.now() >= this.#endsAtMs) this.stop(deadlineExceeded());
    if (this.#reason !== undefined) throw this.#reason;
  }

  /** Cuts the call short. */
  stop(reason: Error): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#onStop?.(reason);
    this.#controller?.abort(reason);
  }

  /** The answer is there: its sending may take any time. */
  clearTime(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
  }

  /** The call is over: no limit any more, and nobody need go on with it. */
  end(): void {
    this.clearTime();
    this.#onStop = undefined;
    this.#controller?.abort();
  }
}
