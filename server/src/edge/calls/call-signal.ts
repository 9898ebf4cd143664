import type { NodeResponse } from "../../http/node-http.ts";
import { canceled, deadlineExceeded } from "../errors/library-errors.ts";

/** When a call must stop. */
export interface CallSignal {
  /** Aborts when the caller goes away before its answer is whole, and when the time is up. */
  readonly signal: AbortSignal;
  /** Ends the limit of time, once the answer is there. */
  clearDeadline(): void;
}

/** @param requestSeconds longest time until there is an answer; undefined for no limit */
export function createCallSignal(response: NodeResponse, requestSeconds: number | undefined): CallSignal {
  const call = new AbortController();
  const deadline =
    requestSeconds === undefined
      ? undefined
      : setTimeout(() => call.abort(deadlineExceeded()), requestSeconds * 1000);
  const clearDeadline = () => clearTimeout(deadline);
  response.once("close", () => {
    clearDeadline();
    if (!response.writableFinished) call.abort(canceled());
  });
  return { signal: call.signal, clearDeadline };
}
