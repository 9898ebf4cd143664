/** How long things took, sorted into buckets as they come. */
export class Durations {
  /** Upper bounds of the buckets but the last, in seconds. */
  readonly bounds: readonly number[];
  /** How many fell into each bucket, the last being for all that took longer; not cumulative. */
  readonly #buckets: number[];
  #seconds = 0;
  #count = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.#buckets = bounds.map(() => 0).concat(0);
  }

  get buckets(): readonly number[] {
    return this.#buckets;
  }

  /** All of them together. */
  get seconds(): number {
    return this.#seconds;
  }

  get count(): number {
    return this.#count;
  }

  add(seconds: number): void {
    let bucket = 0;
    while (seconds > (this.bounds[bucket] ?? Number.POSITIVE_INFINITY)) bucket++;
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1;
    this.#seconds += seconds;
    this.#count++;
  }
}
