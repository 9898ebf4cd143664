import type { Http2Session } from "node:http2";
import { isGone, type NodeRequest, type NodeResponse } from "../http/node-http.ts";
import type { DoWork } from "../lib/request.ts";
import { canceled } from "./errors/library-errors.ts";

/** Requests of one HTTP/2 connection that are worked on at once. */
const atOnce = 128;

/**
 * Bounds the work that the requests of one HTTP/2 connection have done at once;
 * on HTTP/1.1 they come one by one. The rest wait, first come, first served, each
 * with its body read and its time running.
 *
 * A request whose caller goes away while it waits is dropped. One that is worked
 * on keeps its place until the work is over, whatever becomes of its stream:
 * resets (CVE-2023-44487) and short deadlines would be ways to have any amount of
 * work done. A stream is no work once there is one: it may have nothing to send
 * for long.
 */
export function createTurns(): (request: NodeRequest, response: NodeResponse) => DoWork | undefined {
  const bySession = new WeakMap<Http2Session, Turns>();
  return (request, response) => {
    if (!("stream" in request)) return undefined;
    return (work) => {
      const { session } = request.stream;
      if (session === undefined || isGone(response)) return Promise.reject(canceled());
      const turns = bySession.get(session) ?? new Turns();
      bySession.set(session, turns);
      return turns.take(response, work);
    };
  };
}

/** A request that waits. */
interface Waiting {
  readonly response: NodeResponse;
  begin(): void;
  drop(): void;
}

class Turns {
  readonly #waiting = new Set<Waiting>();
  #working = 0;

  take<T>(response: NodeResponse, work: () => Promise<T>): Promise<T> {
    if (this.#working < atOnce) return this.#do(work);
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        response,
        begin: () => void this.#do(work).then(resolve, reject),
        drop: () => reject(canceled()),
      };
      this.#waiting.add(waiting);
      response.once("close", () => {
        if (this.#waiting.delete(waiting)) waiting.drop();
      });
    });
  }

  async #do<T>(work: () => Promise<T>): Promise<T> {
    this.#working += 1;
    try {
      return await work();
    } finally {
      this.#working -= 1;
      this.#next();
    }
  }

  #next(): void {
    for (const waiting of this.#waiting) {
      this.#waiting.delete(waiting);
      // Its time was over before its turn came.
      if (waiting.response.headersSent) {
        waiting.drop();
      } else {
        waiting.begin();
        return;
      }
    }
  }
}
