import { LRUCache } from "lru-cache";

/** What the library takes besides a bound. */
type Options<K extends {}, V extends {}> = Pick<
  LRUCache.Options<K, V, unknown>,
  "dispose" | "perf" | "sizeCalculation" | "ttl" | "ttlResolution"
>;

/**
 * A map of the latest used entries, `maxEntries` at most, which takes memory as
 * it fills: told the bound as its `max`, the library would reserve room for all
 * of them at once, half a megabyte for each large cache of a server just started.
 */
export function createLru<K extends {}, V extends {}>(
  maxEntries: number,
  options: Options<K, V> = {},
): LRUCache<K, V> {
  return new LRUCache<K, V>({ maxSize: maxEntries, sizeCalculation: countOne, ...options });
}

function countOne(): number {
  return 1;
}
