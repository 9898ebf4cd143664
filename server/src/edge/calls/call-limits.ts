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
  /** In the order in which they began, each with the next. Not a set: to leave one costs more than the rest of a limit. */
  #first: CallLimit | undefined;
  #last: CallLimit | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor({ requestSeconds, shutdownSignal }: CallLimitsOptions) {
    this.requestMs = requestSeconds * 1000;
    this.shutdownSignal = shutdownSignal && toUnavailable(shutdownSignal);
    const stopAll = () => {
      // What one is told may end others.
      for (const limit of [...this.#underWay()]) limit.stop(this.shutdownSignal?.reason);
    };
    this.shutdownSignal?.addEventListener("abort", stopAll, { once: true });
  }

  /**
   * Begins the limit of a call, which is over when {@link CallLimit.end} says so.
   *
   * @param timeoutMs the caller's own limit of time; a shorter one goes before ours
   */
  begin(response: NodeResponse, timeoutMs: number | undefined): CallLimit {
    const isShorter = timeoutMs !== undefined && timeoutMs < this.requestMs;
    const limit = new CallLimit(response, isShorter ? timeoutMs : undefined, this);
    this.#add(limit);
    this.#timer ??= setTimeout(() => this.#stopLate(), this.requestMs).unref();
    if (this.shutdownSignal?.aborted) limit.stop(this.shutdownSignal.reason);
    return limit;
  }

  /** Makes a call within its limit, as {@link begin} has it. */
  async during<T>(
    response: NodeResponse,
    timeoutMs: number | undefined,
    call: (limit: CallLimit) => Promise<T>,
  ): Promise<T> {
    const limit = this.begin(response, timeoutMs);
    try {
      return await call(limit);
    } finally {
      limit.end();
    }
  }

  #add(limit: CallLimit): void {
    limit.before = this.#last;
    if (this.#last === undefined) this.#first = limit;
    else this.#last.after = limit;
    this.#last = limit;
  }

  /** Takes out one that has ended. */
  remove(limit: CallLimit): void {
    const { before, after } = limit;
    if (before !== undefined) before.after = after;
    else if (this.#first === limit) this.#first = after;
    if (after !== undefined) after.before = before;
    else if (this.#last === limit) this.#last = before;
    limit.before = undefined;
    limit.after = undefined;
  }

  *#underWay(): Generator<CallLimit> {
    for (let limit = this.#first; limit !== undefined; limit = limit.after) yield limit;
  }

  #stopLate(): void {
    const beganBeforeMs = performance.now() - this.requestMs;
    this.#timer = undefined;
    for (const limit of [...this.#underWay()]) {
      if (limit.beganAtMs > beganBeforeMs) {
        const waitMs = limit.beganAtMs - beganBeforeMs;
        this.#timer = setTimeout(() => this.#stopLate(), waitMs).unref();
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

/** Hears when a call is cut short, and why. */
export interface StopListener {
  stop(reason: Error): void;
}

/**
 * How long a call may take: until its time is up, its caller goes away or the
 * process must end. Does what an AbortSignal does, and makes one only for those
 * who ask: a signal with its listeners costs more than a cheap call.
 */
export class CallLimit {
  readonly beganAtMs: number = performance.now();
  /** Its neighbours among those under way: for {@link CallLimits} alone. */
  before: CallLimit | undefined = undefined;
  after: CallLimit | undefined = undefined;
  readonly #limits: CallLimits | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #endsAtMs: number | undefined;
  #controller: AbortController | undefined;
  #reason: Error | undefined;
  #listener: StopListener | undefined;

  /**
   * @param ms longest time until there is an answer; undefined for none of its own
   * @param limits which it is one of
   */
  constructor(response: NodeResponse, ms: number | undefined, limits?: CallLimits) {
    this.#limits = limits;
    this.#endsAtMs = ms === undefined ? undefined : this.beganAtMs + ms;
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

  /** Has one hear when the call is cut short; at once, if it has been. */
  tell(listener: StopListener): void {
    if (this.#reason !== undefined) listener.stop(this.#reason);
    else this.#listener = listener;
  }

  /** Waits for `work`, but no longer than the call may take: rejects then, while the work goes on unheard. */
  wait<T>(work: T | PromiseLike<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.tell({ stop: reject });
      Promise.resolve(work).then(resolve, reject);
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
    this.#listener?.stop(reason);
    this.#controller?.abort(reason);
  }

  /** The answer is there: its sending may take any time. */
  clearTime(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
  }

  /** The call is over: no limit any more, and nobody need go on with it. */
  end(): void {
    this.#limits?.remove(this);
    this.clearTime();
    this.#listener = undefined;
    this.#controller?.abort();
  }
}
