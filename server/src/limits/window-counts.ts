/**
 * Counts of events per key over a rolling window, in memory.
 *
 * A window is made of short buckets, so that an event is forgotten at most one
 * bucket after the window has passed it, and never before. Each count is what
 * the table said last plus what this process has not told the table yet. A
 * bucket that lies ahead of the clock, which was set back, counts for nothing.
 */
import type { LRUCache } from "lru-cache";
import { clockSlackMs } from "../lib/clock.ts";
import { createLru } from "../lib/lru.ts";

/** A bucket of one key. */
export interface BucketCount {
  readonly key: string;
  /** Start of the bucket, in milliseconds since the epoch. */
  readonly bucketAtMs: number;
  readonly count: number;
}

interface Bucket {
  /** What the table said last, of all processes together. */
  shared: number;
  /** Counted here, not in the table yet. */
  own: number;
}

type Buckets = Map<number, Bucket>;

/** Length of a bucket, in milliseconds. */
export const bucketMs = 5_000;

/** @see the head of this file */
export class WindowCounts {
  readonly #windowMs: number;
  readonly #keys: LRUCache<string, Buckets>;
  readonly #pending = new Map<string, BucketCount>();

  /** @param maxKeys how many keys are told apart; the least recently used ones are forgotten first. */
  constructor(options: { readonly windowMs: number; readonly maxKeys: number }) {
    this.#windowMs = options.windowMs;
    this.#keys = createLru(options.maxKeys);
  }

  /** Whether anything waits for {@link takePending}. */
  get hasPending(): boolean {
    return this.#pending.size > 0;
  }

  /** Events of a key in the window that ends now. */
  total(key: string, now: Date): number {
    let total = 0;
    for (const [, bucket] of this.#live(key, now)) total += bucket.shared + bucket.own;
    return total;
  }

  /** Counts one event and answers the new total. */
  add(key: string, now: Date): number {
    this.#count({ key, bucketAtMs: toBucketMs(now), count: 1 });
    return this.total(key, now);
  }

  /** Takes an event back that was counted at `at`, here or by another process; nothing once it has left the window. */
  giveBack(key: string, at: Date, now: Date): void {
    const bucketAtMs = toBucketMs(at);
    if (this.#isLive(bucketAtMs, now.getTime())) this.#count({ key, bucketAtMs, count: -1 });
  }

  /** Whole seconds, at least 1, until a key's total has fallen below `limit`. */
  secondsUntilBelow(key: string, limit: number, now: Date): number {
    let total = this.total(key, now);
    let freeAtMs = now.getTime();
    for (const [bucketAtMs, bucket] of this.#live(key, now).sort(([a], [b]) => a - b)) {
      if (total < limit) break;
      total -= bucket.shared + bucket.own;
      freeAtMs = bucketAtMs + bucketMs + this.#windowMs;
    }
    return Math.max(1, Math.ceil((freeAtMs - now.getTime()) / 1000));
  }

  /** Hands out at most `limit` counts that the table does not have; they stay counted until {@link settle}. */
  takePending(limit: number): BucketCount[] {
    const taken: BucketCount[] = [];
    for (const [id, entry] of this.#pending) {
      if (taken.length >= limit) break;
      this.#pending.delete(id);
      taken.push(entry);
    }
    return taken;
  }

  /** The table has taken a count, and said what the bucket holds now. */
  settle({ key, bucketAtMs, count }: BucketCount, shared: number): void {
    const bucket = this.#keys.get(key)?.get(bucketAtMs);
    if (bucket === undefined) return;
    bucket.own -= count;
    bucket.shared = shared;
  }

  /** The table has not taken a count: it waits, with what else waits for the bucket. */
  putBack({ key, bucketAtMs, count }: BucketCount): void {
    const id = `${bucketAtMs} ${key}`;
    const waiting = count + (this.#pending.get(id)?.count ?? 0);
    if (waiting === 0) this.#pending.delete(id);
    else this.#pending.set(id, { key, bucketAtMs, count: waiting });
  }

  /** What the table says of a bucket, read while nothing taken was unsettled. */
  learn({ key, bucketAtMs, count }: BucketCount, now: Date): void {
    if (!this.#isLive(bucketAtMs, now.getTime())) return;
    this.#get(key, bucketAtMs).shared = count;
  }

  /** Drops counts that are not in the window, before the table takes them. */
  dropStale(now: Date): void {
    for (const [id, { bucketAtMs }] of this.#pending) {
      if (!this.#isLive(bucketAtMs, now.getTime())) this.#pending.delete(id);
    }
  }

  #count(counted: BucketCount): void {
    this.#get(counted.key, counted.bucketAtMs).own += counted.count;
    this.putBack(counted);
  }

  #isLive(bucketAtMs: number, nowMs: number): boolean {
    return bucketAtMs + bucketMs > nowMs - this.#windowMs && bucketAtMs <= nowMs + clockSlackMs;
  }

  #live(key: string, now: Date): [number, Bucket][] {
    const buckets = this.#keys.get(key);
    if (buckets === undefined) return [];
    for (const bucketAtMs of buckets.keys()) {
      if (!this.#isLive(bucketAtMs, now.getTime())) buckets.delete(bucketAtMs);
    }
    if (buckets.size === 0) this.#keys.delete(key);
    return [...buckets];
  }

  #get(key: string, bucketAtMs: number): Bucket {
    const buckets: Buckets = this.#keys.get(key) ?? new Map();
    const bucket = buckets.get(bucketAtMs) ?? { shared: 0, own: 0 };
    this.#keys.set(key, buckets.set(bucketAtMs, bucket));
    return bucket;
  }
}

function toBucketMs(now: Date): number {
  return Math.floor(now.getTime() / bucketMs) * bucketMs;
}
