import { expect, it } from "vitest";
import { WindowCounts } from "./window-counts.ts";

const at = (seconds: number) => new Date(Date.UTC(2027, 0, 1) + seconds * 1000);
const create = (maxKeys = 100) => new WindowCounts({ windowMs: 60_000, maxKeys });

it("counts per key, and forgets only what the window has left whole", () => {
  const counts = create();
  expect([counts.add("a", at(0)), counts.add("a", at(4.999)), counts.add("a", at(5))]).toEqual([1, 2, 3]);
  expect(counts.total("b", at(5))).toBe(0);
  expect(counts.total("a", at(64.999))).toBe(3);
  expect(counts.total("a", at(65))).toBe(1);
  expect(counts.total("a", at(70))).toBe(0);
});

it("says how long until enough is forgotten", () => {
  const counts = create();
  counts.add("a", at(0));
  counts.add("a", at(10));
  counts.add("a", at(10));
  expect(counts.secondsUntilBelow("a", 3, at(12))).toBe(53);
  expect(counts.secondsUntilBelow("a", 2, at(12))).toBe(63);
  expect(counts.secondsUntilBelow("a", 4, at(12))).toBe(1);
  expect(counts.total("a", at(12 + 53))).toBe(2);
  expect(counts.total("a", at(12 + 63))).toBe(0);
});

it("counts once what it tells and what comes back", () => {
  const counts = create();
  counts.add("a", at(0));
  counts.add("a", at(0));
  const taken = counts.takePending(10);
  expect(taken).toEqual([{ key: "a", bucketAtMs: at(0).getTime(), count: 2 }]);
  counts.add("a", at(1));
  expect(counts.total("a", at(1))).toBe(3);
  for (const count of taken) counts.settle(count, 7);
  expect(counts.total("a", at(1))).toBe(8);
  expect(counts.takePending(10)).toMatchObject([{ count: 1 }]);
});

it("counts once what could not be told, and tells it together with what came since", () => {
  const counts = create();
  counts.add("a", at(0));
  const taken = counts.takePending(10);
  counts.add("a", at(0));
  for (const count of taken) counts.putBack(count);
  expect(counts.total("a", at(0))).toBe(2);
  expect(counts.takePending(10)).toMatchObject([{ count: 2 }]);
});

it("learns what others counted or gave back, however often it is told", () => {
  const counts = create();
  const learnt = { key: "a", bucketAtMs: at(0).getTime(), count: 5 };
  counts.learn(learnt, at(0));
  counts.learn(learnt, at(0));
  expect(counts.total("a", at(0))).toBe(5);
  counts.learn({ ...learnt, count: 4 }, at(0));
  expect(counts.total("a", at(0))).toBe(4);
});

it("gives back into the bucket that was counted in, while that is in the window", () => {
  const counts = create();
  counts.add("a", at(0));
  counts.add("a", at(10));
  counts.giveBack("a", at(0), at(20));
  expect(counts.total("a", at(20))).toBe(1);
  // Nothing is left to tell of the first bucket.
  expect(counts.takePending(10)).toEqual([{ key: "a", bucketAtMs: at(10).getTime(), count: 1 }]);
  counts.add("b", at(0));
  counts.giveBack("b", at(0), at(65));
  expect(counts.total("b", at(64.999))).toBe(1);
});

it("gives back what another process counted", () => {
  const counts = create();
  const bucketAtMs = at(0).getTime();
  counts.learn({ key: "a", bucketAtMs, count: 3 }, at(0));
  counts.giveBack("a", at(1), at(2));
  expect(counts.total("a", at(2))).toBe(2);
  const taken = counts.takePending(10);
  expect(taken).toEqual([{ key: "a", bucketAtMs, count: -1 }]);
  for (const count of taken) counts.settle(count, 2);
  expect(counts.total("a", at(2))).toBe(2);
});

it("stays within its bounds", () => {
  const counts = create(2);
  for (const key of ["a", "b", "c"]) counts.add(key, at(0));
  expect(["a", "b", "c"].map((key) => counts.total(key, at(0)))).toEqual([0, 1, 1]);
  expect(counts.takePending(2)).toHaveLength(2);
  counts.dropStale(at(64.999));
  expect(counts.hasPending).toBe(true);
  counts.dropStale(at(65));
  expect(counts.hasPending).toBe(false);
});

it("lets nothing count that lies ahead of a clock which was set back", () => {
  const counts = create();
  counts.add("a", at(3600));
  counts.learn({ key: "a", bucketAtMs: at(3600).getTime(), count: 9 }, at(0));
  expect(counts.total("a", at(0))).toBe(0);
  counts.dropStale(at(0));
  expect(counts.takePending(10)).toEqual([]);
  expect(counts.add("a", at(0))).toBe(1);
  // Another process may be ahead by a little.
  counts.learn({ key: "b", bucketAtMs: at(5).getTime(), count: 2 }, at(0));
  expect(counts.total("b", at(0))).toBe(2);
  // Nor does it come to count later.
  expect(counts.total("a", at(3600))).toBe(0);
});
