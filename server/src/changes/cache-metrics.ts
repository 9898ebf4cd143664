import { byLabel, counter, gauge, type Metric } from "../assembly/metric.ts";
import type { InvalidatedCache } from "./cache.ts";

/** Lists the metrics of a room's caches, by their names. */
export function listCacheMetrics(
  caches: Readonly<Record<string, Pick<InvalidatedCache<object | string>, "size" | "loadCount">>>,
): Metric[] {
  const each = (pick: (cache: { size: number; loadCount: number }) => number) =>
    byLabel("cache", Object.fromEntries(Object.entries(caches).map(([name, cache]) => [name, pick(cache)])));
  return [
    gauge("cache_entries", "Entries of a cache.", () => each(({ size }) => size)),
    counter("cache_loads_total", "Look-ups that the cache had no answer for.", () =>
      each(({ loadCount }) => loadCount),
    ),
  ];
}
