import { executionAsyncResource } from "node:async_hooks";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** What V8 puts into a context made while it is told to. */
type CollectGarbage = (options: { type: "major"; flavor: "last-resort" }) => void;

/** What Node queued for some call of `process.nextTick`, kept for ever; see `keepTick`. */
let _tick: object | undefined;

/**
 * Collects garbage once, and gives the pages it took back to the system. For
 * the end of a start, which leaves as much garbage behind as the server will
 * hold afterwards; V8 would keep the room for the next start that never comes.
 * Takes some 20 ms in which nothing else runs.
 */
export async function giveBackMemory(): Promise<void> {
  await keepTick();
  setFlagsFromString("--expose-gc");
  try {
    // Only the new context has it; it is gone with this call.
    const collect = runInNewContext("gc") as CollectGarbage;
    collect({ type: "major", flavor: "last-resort" });
  } finally {
    setFlagsFromString("--no-expose-gc");
  }
}

/**
 * Keeps one of the objects that `process.nextTick` queues, and with it the
 * hidden class of all of them.
 *
 * Node makes them by a literal with computed keys. V8 remembers the one class
 * it has seen at such a literal, weakly: when the class is collected because no
 * such object is alive at that moment, the next object counts as one of another
 * class, and the literal goes the slow way from then on, in optimised code as
 * well. An HTTP request comes through it some ten times: that is 8 µs, a
 * quarter of a cheap one.
 */
async function keepTick(): Promise<void> {
  _tick ??= await new Promise<object>((resolve) => process.nextTick(() => resolve(executionAsyncResource())));
}
