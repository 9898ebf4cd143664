/** Texts that several processes were asked for: complete once each has answered or is known not to. */
export class Gathering {
  readonly #waitsFor: Set<number>;
  readonly #texts = new Map<number, string>();
  readonly #complete = Promise.withResolvers<void>();

  constructor(asked: readonly number[]) {
    this.#waitsFor = new Set(asked);
    this.#settle();
  }

  /** Takes the answer of one that was asked. */
  take(number: number, text: string): void {
    if (!this.#waitsFor.delete(number)) return;
    this.#texts.set(number, text);
    this.#settle();
  }

  /** Waits no longer for one. */
  leaveOut(number: number): void {
    this.#waitsFor.delete(number);
    this.#settle();
  }

  /** What there is when all have answered, or after so many milliseconds, in the order of their numbers. */
  async wait(ms: number): Promise<readonly string[]> {
    const timer = setTimeout(() => this.#complete.resolve(), ms);
    await this.#complete.promise;
    clearTimeout(timer);
    return [...this.#texts].toSorted(([one], [other]) => one - other).map(([, text]) => text);
  }

  #settle(): void {
    if (this.#waitsFor.size === 0) this.#complete.resolve();
  }
}
