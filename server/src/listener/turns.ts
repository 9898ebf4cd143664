import type { ServerHttp2Stream } from "node:http2";

/**
 * The requests of one connection, so many of which are worked on at once. The
 * others wait, first come, first served.
 *
 * A request that is reset while it waits is dropped. One that is worked on keeps
 * its place until the work is over, whatever becomes of its stream: resets and
 * short deadlines would be ways to have any amount of work done.
 */
export class Turns {
  readonly #atOnce: number;
  readonly #waiting = new Set<() => void>();
  #working = 0;

  constructor(atOnce: number) {
    this.#atOnce = atOnce;
  }

  /**
   * Does the work when there is room for it, and settles as it does.
   *
   * @param drop is called in its place when the stream is over before
   */
  take(stream: ServerHttp2Stream, work: () => void | Promise<void>, drop: () => void): void | Promise<void> {
    if (stream.destroyed) return drop();
    if (this.#working < this.#atOnce) return this.#do(work);
    return new Promise((resolve, reject) => {
      const begin = () => void this.#do(work).then(resolve, reject);
      this.#waiting.add(begin);
      stream.once("close", () => {
        if (!this.#waiting.delete(begin)) return;
        drop();
        resolve();
      });
    });
  }

  async #do(work: () => void | Promise<void>): Promise<void> {
    this.#working += 1;
    try {
      await work();
    } finally {
      this.#working -= 1;
      const [next] = this.#waiting;
      if (next !== undefined) {
        this.#waiting.delete(next);
        next();
      }
    }
  }
}
