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
