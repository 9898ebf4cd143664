/**
 * How long a request is worked on. That is not for as long as it is answered: who
 * answers a call waits for its handler no longer than the caller does, and a
 * stream goes on without work until there is something to send.
 */
export class RequestWork {
  /** Resolves when nothing is done for the request any more. */
  readonly over: Promise<void>;
  readonly #end: () => void;
  #hasBegun = false;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.over = promise;
    this.#end = resolve;
  }

  /** Notes the work itself: it is over when that is. */
  during<T>(work: Promise<T>): Promise<T> {
    this.#hasBegun = true;
    work.then(this.#end, this.#end);
    return work;
  }

  /** Notes that there is an answer, which ends a request that came to no work. */
  answered(): void {
    if (!this.#hasBegun) this.#end();
  }
}
