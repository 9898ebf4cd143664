/**
 * Has an origin's first sign-in begin before any other of its begins.
 *
 * The server tells browsers apart by a cookie that its first answer sets. Two
 * that begin at once, autofill and a form or two tabs, would be given one each;
 * the browser keeps the later one, and the sign-in of the other could not end.
 */
import type { Surroundings } from "../surroundings.ts";

/** How long a page waits for the others, in milliseconds: one whose call hangs must not hold them up. */
const longestWaitMs = 5000;

/** Runs a call that begins a sign-in when it is its turn, or once `signal` aborts, which is for the call to tell. */
export type OneByOne = <T>(begin: () => Promise<T>, signal: AbortSignal | undefined) => Promise<T>;

/** @param name of the lock, the same in all pages that talk to one server */
export function createOneByOne(
  name: string,
  { lock, startTimer }: Pick<Surroundings, "lock" | "startTimer">,
): OneByOne {
  /** Once this page has had an answer, the cookie is there. */
  let isKnown = false;

  return async (begin, signal) => {
    if (isKnown) return await begin();
    const waiting = new AbortController();
    const giveUp = () => waiting.abort();
    if (signal?.aborted) giveUp();
    signal?.addEventListener("abort", giveUp, { once: true });
    const stopTimer = startTimer(giveUp, longestWaitMs);
    const release = await lock(name, waiting.signal);
    stopTimer();
    signal?.removeEventListener("abort", giveUp);
    try {
      const answer = await begin();
      isKnown = true;
      return answer;
    } finally {
      release();
    }
  };
}
