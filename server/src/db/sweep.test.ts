import { expect, it } from "vitest";
import { mostRows, sweepInBatches } from "./sweep.ts";

it.each([0, 1, 31, 32, mostRows, mostRows * 3 + 1])("removes %d rows", async (rows) => {
  let left = rows;
  let largest = 0;
  const total = await sweepInBatches(async (limit) => {
    const removed = Math.min(limit, left);
    largest = Math.max(largest, removed);
    left -= removed;
    return removed;
  });
  expect(left).toBe(0);
  expect(total).toBe(rows);
  expect(largest).toBeLessThanOrEqual(mostRows);
});

it("lets others have their turn between batches", async () => {
  const order: string[] = [];
  let batches = 0;
  setImmediate(() => order.push("other"));
  await sweepInBatches(async (limit) => {
    order.push("batch");
    return ++batches < 3 ? limit : 0;
  });
  expect(order.indexOf("other")).toBe(1);
});

it("ends with what a batch failed with", async () => {
  await expect(sweepInBatches(() => Promise.reject(new Error("locked")))).rejects.toThrow("locked");
});

/** Sweeps on a host that takes `msOf` for a batch, and tells of each batch and the rest after it. */
async function sweepOn(msOf: (rows: number, batch: number) => number, batches: number) {
  let nowMs = 0;
  const seen: { rows: number; restMs: number }[] = [];
  const removeBatch = async (rows: number) => {
    if (seen.length === batches) return 0;
    nowMs += msOf(rows, seen.length);
    seen.push({ rows, restMs: 0 });
    return rows;
  };
  const rest = async (ms: number) => {
    const last = seen.at(-1);
    if (last) last.restMs = ms;
    nowMs += ms;
  };
  await sweepInBatches(removeBatch, { monotonicMs: () => nowMs, rest });
  return { rows: seen.map(({ rows }) => rows), rests: seen.map(({ restMs }) => restMs), tookMs: nowMs };
}

it("takes more rows at a time where they take little, up to the most", async () => {
  expect((await sweepOn((rows) => rows * 0.01, 5)).rows).toEqual([32, 64, 128, mostRows, mostRows]);
});

it("takes as many rows at a time as are removed in 6 ms", async () => {
  const { rows } = await sweepOn((rows) => 1 + rows * 0.05, 40);
  expect(rows.slice(5).every((count) => Math.abs(count - 100) <= 2)).toBe(true);
});

it("takes fewer at once after a slow batch, and grows back by twice at most", async () => {
  const { rows } = await sweepOn((rows, batch) => (batch === 3 ? 113 : rows * 0.01), 8);
  expect(rows).toEqual([32, 64, 128, mostRows, 32, 64, 128, mostRows]);
});

it("takes no fewer than 32, which a disk of 15 ms lets be 2 000 rows a second", async () => {
  const { rows, tookMs } = await sweepOn(() => 15, 100);
  expect(new Set(rows)).toEqual(new Set([32]));
  expect(3200 / tookMs).toBeGreaterThanOrEqual(2);
});

it("rests three times as long as a batch took, but holds a pace of 4 000 rows a second", async () => {
  expect((await sweepOn((_, batch) => [1, 3, 30][batch] ?? 0, 3)).rests).toEqual([3, 9, 2]);
  expect((await sweepOn(() => 2.5, 4)).rests).toEqual([5.5, 7.5, 7.5, 7.5]);
});
