/**
 * Loaded into a server under measurement (`--import`), for what only the
 * process itself can tell its parent: what it holds after a collection, and
 * for how long nothing else could be done.
 */
import { readFileSync } from "node:fs";

/** What the parent may ask, and what it is answered. */
export interface Answers {
  /** Bytes of heap and of memory outside of it that objects hold, after a collection. */
  readonly memory: number;
  /** Pauses of the event loop since it was last asked, in milliseconds, the shortest left out. */
  readonly pauses: readonly number[];
}

const tickMs = 1;
/** Shorter ones are nobody's trouble. */
const shortestMs = 2;

let pauses: number[] = [];

/** How long this thread has waited for a core that had other programs to run, in milliseconds. */
function readWaitMs(): number {
  return Number(readFileSync("/proc/thread-self/schedstat", "utf8").split(" ")[1]) / 1e6;
}

/** A tick that comes late, less the time that other programs had the core: the pause of our own making. */
function watchPauses(): void {
  let lastAt = performance.now();
  let lastWaitMs = readWaitMs();
  setInterval(() => {
    const waitMs = readWaitMs();
    const now = performance.now();
    const pauseMs = now - lastAt - tickMs - (waitMs - lastWaitMs);
    if (pauseMs >= shortestMs) pauses.push(pauseMs);
    [lastAt, lastWaitMs] = [now, waitMs];
  }, tickMs).unref();
}

function answer(ask: keyof Answers): Answers[keyof Answers] {
  if (ask === "pauses") {
    const seen = pauses;
    pauses = [];
    return seen;
  }
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

if (process.send !== undefined) {
  process.on("message", (ask: keyof Answers) => process.send?.({ answer: answer(ask) }));
  process.channel?.unref();
  watchPauses();
}
