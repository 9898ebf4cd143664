import type { LRUCache } from "lru-cache";
import { systemMonotonicMs } from "../lib/clock.ts";
import { createLru } from "../lib/lru.ts";
import type { ChangeFeed } from "./feed.ts";
import type { Change, ChangeTopic } from "./topics.ts";

/** Which changes empty a cache, and how much it holds for how long. */
export interface InvalidatedCacheOptions<V> {
  readonly feed: Pick<ChangeFeed, "isConfirmed" | "subscribe">;
  /** Changes of these topics remove the entry whose key is their subject. */
  readonly topics: readonly ChangeTopic[];
  /** How many entries at most; the least recently used ones go first. */
  readonly maxEntries: number;
  /** After how many milliseconds an entry is loaded anew. None: never. */
  readonly maxAgeMs?: number;
  /**
   * What a value depends on besides its key: subjects of the same topics whose
   * change removes it too, such as the organisation of a service user.
   */
  readonly subjectsOf?: (value: V) => readonly string[];
  /** Whether a value is kept; one that is not goes to those who asked, and to nobody after them. All are, if absent. */
  readonly isKept?: (value: V) => boolean;
  /** As how many entries a value counts, from 1; one, if absent. */
  readonly weigh?: (value: V) => number;
  /** Milliseconds of a clock that never goes back. For `maxAgeMs`. */
  readonly monotonicMs?: () => number;
}

/**
 * A bounded cache that is never behind the change feed.
 *
 * A value whose load began before an invalidation is neither kept nor handed to
 * anyone who asked after it; while the feed is not confirmed every `get` loads.
 * `undefined` is not kept, so what was missing is seen as soon as it exists.
 */
export class InvalidatedCache<V extends NonNullable<unknown>> {
  readonly #feed: InvalidatedCacheOptions<V>["feed"];
  readonly #topics: ReadonlySet<ChangeTopic>;
  readonly #subjectsOf: ((value: V) => readonly string[]) | undefined;
  readonly #isKept: (value: V) => boolean;
  readonly #entries: LRUCache<string, V>;
  /** Subject → the keys of those entries that depend on it. */
  readonly #dependents = new Map<string, Set<string>>();
  /** Loads in progress that newcomers may share. An invalidation takes them out. */
  readonly #loads = new Map<string, Promise<V | undefined>>();
  readonly #unsubscribe: () => void;
  #loadCount = 0;

  constructor(options: InvalidatedCacheOptions<V>) {
    this.#feed = options.feed;
    this.#topics = new Set(options.topics);
    this.#subjectsOf = options.subjectsOf;
    this.#isKept = options.isKept ?? (() => true);
    this.#entries = createLru<string, V>(options.maxEntries, {
      ttl: options.maxAgeMs ?? 0,
      ttlResolution: 0,
      perf: { now: options.monotonicMs ?? systemMonotonicMs },
      dispose: (value, key) => this.#forgetDependent(key, value),
      ...(options.weigh && { sizeCalculation: options.weigh }),
    });
    this.#unsubscribe = options.feed.subscribe({
      onChange: (change) => this.#onChange(change),
      onReset: () => this.clear(),
    });
  }

  /** How many entries there are. */
  get size(): number {
    return this.#entries.size;
  }

  /** How often the database was asked since the start, but for while the feed was in doubt. */
  get loadCount(): number {
    return this.#loadCount;
  }

  /**
   * The value for a key, from memory or from `load`, which concurrent callers
   * share. `load` must read the database when it is called, not before. Its
   * errors go to the caller: what cannot be read is not answered from memory.
   */
  get(key: string, load: (key: string) => Promise<V | undefined>): Promise<V | undefined> {
    if (!this.#feed.isConfirmed()) return load(key);
    const value = this.#entries.get(key);
    if (value !== undefined) return Promise.resolve(value);
    return this.#loads.get(key) ?? this.#load(key, load);
  }

  /** The value for a key if it is in memory and may be used. Never loads. */
  peek(key: string): V | undefined {
    return this.#feed.isConfirmed() ? this.#entries.get(key) : undefined;
  }

  /** The value for a key from `load` in every case: for when what is in memory does not fit. */
  refresh(key: string, load: (key: string) => Promise<V | undefined>): Promise<V | undefined> {
    if (!this.#feed.isConfirmed()) return load(key);
    return this.#loads.get(key) ?? this.#load(key, load);
  }

  /** Forgets everything, also what is being loaded. */
  clear(): void {
    this.#loads.clear();
    this.#entries.clear();
  }

  /** Stops following the feed, and forgets everything. */
  close(): void {
    this.#unsubscribe();
    this.clear();
  }

  #load(key: string, load: (key: string) => Promise<V | undefined>): Promise<V | undefined> {
    this.#loadCount += 1;
    const loading = load(key).then(
      (value) => {
        const isValid = this.#endLoad(key, loading);
        if (isValid && value !== undefined && this.#isKept(value)) this.#keep(key, value);
        return value;
      },
      (error: unknown) => {
        this.#endLoad(key, loading);
        throw error;
      },
    );
    this.#loads.set(key, loading);
    return loading;
  }

  /** Answers whether nothing was invalidated while it ran. */
  #endLoad(key: string, loading: Promise<V | undefined>): boolean {
    return this.#loads.get(key) === loading && this.#loads.delete(key);
  }

  #keep(key: string, value: V): void {
    this.#entries.set(key, value);
    for (const subject of this.#subjectsOf?.(value) ?? []) {
      const keys = this.#dependents.get(subject);
      if (keys) keys.add(key);
      else this.#dependents.set(subject, new Set([key]));
    }
  }

  #forgetDependent(key: string, value: V): void {
    for (const subject of this.#subjectsOf?.(value) ?? []) {
      const keys = this.#dependents.get(subject);
      keys?.delete(key);
      if (keys?.size === 0) this.#dependents.delete(subject);
    }
  }

  #onChange({ topic, subject }: Change): void {
    if (!this.#topics.has(topic)) return;
    this.#entries.delete(subject);
    for (const key of [...(this.#dependents.get(subject) ?? [])]) this.#entries.delete(key);
    // What a load in progress will depend on is not known yet: none of them may be kept.
    if (this.#subjectsOf) this.#loads.clear();
    else this.#loads.delete(subject);
  }
}
