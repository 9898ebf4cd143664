/** What can be said of a heap of measurements. */

/** The value that a share `q` of the values does not exceed. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
}

/**
 * How far two distributions are apart: the greatest difference between their
 * cumulative shares (Kolmogorov–Smirnov), 0 for the same, 1 for disjoint ones.
 */
export function distance(a: readonly number[], b: readonly number[]): number {
  const [first, second] = [a.toSorted((x, y) => x - y), b.toSorted((x, y) => x - y)];
  let [i, j, greatest] = [0, 0, 0];
  while (i < first.length && j < second.length) {
    const value = Math.min(first[i] ?? 0, second[j] ?? 0);
    while (i < first.length && (first[i] ?? 0) <= value) i++;
    while (j < second.length && (second[j] ?? 0) <= value) j++;
    greatest = Math.max(greatest, Math.abs(i / first.length - j / second.length));
  }
  return greatest;
}

/** The distance that samples of one and the same distribution exceed once in a hundred times. */
export function chanceDistance(a: readonly number[], b: readonly number[]): number {
  return 1.628 * Math.sqrt((a.length + b.length) / (a.length * b.length));
}
