import { beforeEach, describe, expect, it } from "vitest";
import { InvalidatedCache } from "./cache.ts";
import type { ChangeListener } from "./feed.ts";
import type { ChangeTopic } from "./topics.ts";

class FakeFeed {
  confirmed = true;
  listener: ChangeListener | undefined;

  isConfirmed(): boolean {
    return this.confirmed;
  }

  subscribe(listener: ChangeListener): () => void {
    this.listener = listener;
    return () => {
      this.listener = undefined;
    };
  }

  change(topic: ChangeTopic, subject: string): void {
    this.listener?.onChange({ topic, subject });
  }
}

interface User {
  readonly name: string;
  readonly organization: string;
}

/** A store whose reads finish when the test says so. */
class SlowStore {
  readonly reads: { key: string; finish(value: User | undefined): void; fail(error: Error): void }[] = [];

  readonly load = (key: string): Promise<User | undefined> => {
    const { promise, resolve, reject } = Promise.withResolvers<User | undefined>();
    this.reads.push({ key, finish: resolve, fail: reject });
    return promise;
  };
}

const before: User = { name: "before", organization: "org" };
const after: User = { name: "after", organization: "org" };

describe("InvalidatedCache", () => {
  let feed: FakeFeed;
  let store: SlowStore;
  let cache: InvalidatedCache<User>;
  let nowMs: number;

  beforeEach(() => {
    feed = new FakeFeed();
    store = new SlowStore();
    nowMs = 5000;
    cache = new InvalidatedCache({
      feed,
      topics: ["service-user"],
      maxEntries: 2,
      maxAgeMs: 1000,
      monotonicMs: () => nowMs,
    });
  });

  async function fill(key: string, value: User | undefined): Promise<void> {
    const loading = cache.get(key, store.load);
    store.reads.at(-1)?.finish(value);
    await loading;
  }

  it("loads once and answers from memory", async () => {
    await fill("a", before);
    expect(await cache.get("a", store.load)).toBe(before);
    expect(store.reads).toHaveLength(1);
  });

  it("shares one load among concurrent callers", async () => {
    const both = Promise.all([cache.get("a", store.load), cache.get("a", store.load)]);
    expect(store.reads).toHaveLength(1);
    store.reads[0]?.finish(before);
    expect(await both).toEqual([before, before]);
  });

  it("loads again after a change of its key, and only of its key and topic", async () => {
    await fill("a", before);
    feed.change("service-user", "b");
    feed.change("credential", "a");
    await cache.get("a", store.load);
    expect(store.reads).toHaveLength(1);
    feed.change("service-user", "a");
    await fill("a", after);
    expect(await cache.get("a", store.load)).toBe(after);
    expect(store.reads).toHaveLength(2);
  });

  it("does not keep what was read before an invalidation", async () => {
    const early = cache.get("a", store.load);
    feed.change("service-user", "a");
    store.reads[0]?.finish(before);
    expect(await early).toBe(before);
    expect(cache.size).toBe(0);
    await fill("a", after);
    expect(await cache.get("a", store.load)).toBe(after);
  });

  it("does not share a load that began before an invalidation, even when it ends last", async () => {
    const early = cache.get("a", store.load);
    feed.change("service-user", "a");
    const late = cache.get("a", store.load);
    expect(store.reads).toHaveLength(2);
    store.reads[1]?.finish(after);
    expect(await late).toBe(after);
    store.reads[0]?.finish(before);
    expect(await early).toBe(before);
    expect(await cache.get("a", store.load)).toBe(after);
    expect(store.reads).toHaveLength(2);
  });

  it("does the same on a reset", async () => {
    await fill("b", before);
    const early = cache.get("a", store.load);
    feed.listener?.onReset();
    store.reads[1]?.finish(before);
    await early;
    expect(cache.size).toBe(0);
  });

  it("steps aside while the feed is not confirmed", async () => {
    await fill("a", before);
    feed.confirmed = false;
    const first = cache.get("a", store.load);
    const second = cache.get("a", store.load);
    expect(store.reads).toHaveLength(3);
    store.reads[1]?.finish(after);
    store.reads[2]?.finish(undefined);
    expect(await first).toBe(after);
    expect(await second).toBeUndefined();
    feed.confirmed = true;
    expect(await cache.get("a", store.load)).toBe(before);
  });

  it("does not keep what is missing", async () => {
    await fill("a", undefined);
    await fill("a", after);
    expect(store.reads).toHaveLength(2);
  });

  it("passes a load's error to all who share it and keeps nothing", async () => {
    const both = Promise.allSettled([cache.get("a", store.load), cache.get("a", store.load)]);
    store.reads[0]?.fail(new Error("gone"));
    expect((await both).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    await fill("a", after);
    expect(await cache.get("a", store.load)).toBe(after);
  });

  it("holds no more entries than it may, and none for longer than it may", async () => {
    for (const key of ["a", "b", "c"]) await fill(key, before);
    expect(cache.size).toBe(2);
    nowMs = 6000;
    await cache.get("c", store.load);
    expect(store.reads).toHaveLength(3);
    nowMs = 6001;
    await fill("c", after);
    expect(store.reads).toHaveLength(4);
  });

  it("forgets a value with what it depends on", async () => {
    const dependent = new InvalidatedCache<User>({
      feed,
      topics: ["service-user", "organization"],
      maxEntries: 10,
      subjectsOf: (user) => [user.organization],
    });
    const load = (value: User) => async () => value;
    await dependent.get("a", load(before));
    await dependent.get("b", load({ ...before, organization: "other" }));
    feed.change("organization", "org");
    expect(dependent.size).toBe(1);
    expect(await dependent.get("a", load(after))).toBe(after);

    const early = dependent.get("c", store.load);
    feed.change("organization", "org");
    store.reads[0]?.finish(before);
    await early;
    expect(await dependent.get("c", load(after))).toBe(after);
  });

  it("forgets everything when it is closed", async () => {
    await fill("a", before);
    cache.close();
    expect(cache.size).toBe(0);
    expect(feed.listener).toBeUndefined();
  });
});
