/**
 * Ratios between contenders of one run. They take turns in short windows, so
 * that whatever else the machine does hits all of them alike; the median of
 * each counts.
 */
import type { LoadProcess } from "./processes.ts";

/** What a contender managed. */
export interface Result {
  readonly name: string;
  /** Median over the windows, in requests a second. */
  readonly perSecond: number;
  readonly failures: number;
}

/** The middle value. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low, high] = [sorted[sorted.length % 2 === 0 ? middle - 1 : middle], sorted[middle]];
  return ((low ?? Number.NaN) + (high ?? Number.NaN)) / 2;
}

/** Lets prepared loads take turns. */
export async function compare(
  load: LoadProcess,
  names: readonly string[],
  { rounds = 9, windowSeconds = 1, warmUpSeconds = 2 } = {},
): Promise<Result[]> {
  for (const name of names) await load.run(name, warmUpSeconds);
  const windows = new Map(names.map((name) => [name, [] as number[]]));
  const failures = new Map<string, number>();
  for (let round = 0; round < rounds; round++) {
    for (const name of names) {
      const window = await load.run(name, windowSeconds);
      windows.get(name)?.push(window.requests / window.seconds);
      failures.set(name, (failures.get(name) ?? 0) + window.failures);
    }
  }
  return names.map((name) => ({
    name,
    perSecond: median(windows.get(name) ?? []),
    failures: failures.get(name) ?? 0,
  }));
}
