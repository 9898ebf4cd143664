import type { NodeResponse } from "../../http/node-http.ts";
import { DomainError } from "../../lib/errors.ts";
import { CallLimit } from "./call-limit.ts";

/** What bounds all calls. */
export interface CallLimitsOptions {
  /** Longest time of a unary call, in seconds. */
  readonly requestSeconds: number;
  /** Aborts when the process must end; calls then end as `unavailable`. */
  readonly shutdownSignal?: AbortSignal | undefined;
}

/** The calls under way: each has its time, and all end when the process must. */
export class CallLimits {
  /** Longest time of a unary call, in milliseconds. */
  readonly requestMs: number;
  /** Aborts with what callers are told when the process must end. */
  readonly shutdownSignal: AbortSignal | undefined;
  readonly #underWay = new Set<CallLimit>();

  constructor({ requestSeconds, shutdownSignal }: CallLimitsOptions) {
    this.requestMs = requestSeconds * 1000;
    this.shutdownSignal = shutdownSignal && toUnavailable(shutdownSignal);
    const stopAll = () => {
      for (const limit of this.#underWay) limit.stop(this.shutdownSignal?.reason);
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
    const limit = new CallLimit(response, Math.min(timeoutMs ?? this.requestMs, this.requestMs));
    this.#underWay.add(limit);
    if (this.shutdownSignal?.aborted) limit.stop(this.shutdownSignal.reason);
    try {
      return await call(limit);
    } finally {
      this.#underWay.delete(limit);
      limit.end();
    }
  }
}

/** The same signal with a reason that callers may see, whatever its own. */
function toUnavailable(signal: AbortSignal): AbortSignal {
  const controller = new AbortController();
  const abort = () => controller.abort(new DomainError("UNAVAILABLE", { detail: "shutting down" }));
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  return controller.signal;
}
