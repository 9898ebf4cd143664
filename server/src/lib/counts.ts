/** Counts what happens, by kinds of a closed set, each from 0 on. */
export class Tally<K extends string> {
  readonly #counts: Map<K, number>;

  constructor(kinds: readonly K[]) {
    this.#counts = new Map(kinds.map((kind) => [kind, 0]));
  }

  add(kind: K, count = 1): void {
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + count);
  }

  read(): Readonly<Record<K, number>> {
    return Object.fromEntries(this.#counts) as Record<K, number>;
  }
}

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
