import type { NodeResponse } from "../../http/node-http.ts";
import { canceled, deadlineExceeded } from "../errors/library-errors.ts";

/**
 * How long a call may take: until its time is up, its caller goes away or the
 * process must end. Does what an AbortSignal does, and makes one only for those
 * who ask: a signal with its listeners costs more than a cheap call.
 */
export class CallLimit {
  readonly #timer: NodeJS.Timeout | undefined;
  #controller: AbortController | undefined;
  #reason: Error | undefined;
  #onStop: ((reason: Error) => void) | undefined;

  /** @param ms longest time until there is an answer; undefined for no limit */
  constructor(response: NodeResponse, ms: number | undefined) {
    this.#timer = ms === undefined ? undefined : setTimeout(() => this.stop(deadlineExceeded()), ms);
    response.once("close", () => {
      clearTimeout(this.#timer);
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

  /** Cuts the call short. */
  stop(reason: Error): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#onStop?.(reason);
    this.#controller?.abort(reason);
  }

  /** The answer is there: its sending may take any time. */
  clearTime(): void {
    clearTimeout(this.#timer);
  }

  /** The call is over: no limit any more, and nobody need go on with it. */
  end(): void {
    this.clearTime();
    this.#onStop = undefined;
    this.#controller?.abort();
  }
}
