/**
 * Has answers go out together.
 *
 * Each write is a call of the system, which drives our own code and tables out
 * of the processor's caches, and may have whoever is answered begin at once
 * where it runs on the same core. When a turn of the event loop brings many
 * cheap requests, they are all worked on first and then all answered: that takes
 * a sixth off what they cost.
 */
import type { ServerResponse } from "node:http";

/** What is left to be sent of an answer whose head is made. */
interface Ending {
  readonly response: ServerResponse;
  readonly body: string | Uint8Array;
  readonly encoding: BufferEncoding;
}

/** Answers that wait for the end of this turn; how many at most bounds for how long. */
let waiting: Ending[] = [];
const mostWaiting = 32;
let isCallDue = false;

/**
 * How soon after another an answer has to be made to wait, in milliseconds:
 * within the time of two cheap requests. Where each comes in a turn of its own,
 * as from a proxy on the same core, there is nothing to wait for, and to be called
 * back would cost more than it spares.
 */
const closeMs = 0.06;
let madeAtMs = Number.NEGATIVE_INFINITY;

/** From here on a body, in characters or bytes, costs more while it waits than it spares: a token's answer a sixth. */
const longest = 512;

/** Ends an answer whose head is made, at the latest when this turn has read what there is to read. */
export function endTogether(
  response: ServerResponse,
  body: string | Uint8Array = "",
  encoding: BufferEncoding = "latin1",
): void {
  const nowMs = performance.now();
  const isClose = nowMs - madeAtMs < closeMs;
  madeAtMs = nowMs;
  if (!isClose || body.length > longest) {
    response.end(body, encoding);
    return;
  }
  waiting.push({ response, body, encoding });
  if (waiting.length >= mostWaiting) endWaiting();
  if (isCallDue) return;
  isCallDue = true;
  setImmediate(() => {
    isCallDue = false;
    endWaiting();
  });
}

function endWaiting(): void {
  const ending = waiting;
  waiting = [];
  for (const { response, body, encoding } of ending) response.end(body, encoding);
}
