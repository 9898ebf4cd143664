import { expect, it } from "vitest";
import type { Tx } from "./database.ts";
import { mostRows, sweepInBatches } from "./sweep.ts";

/** One whose transactions only run. */
const database = { transaction: <T>(work: (tx: Tx) => Promise<T>) => work({} as Tx) };

it.each([0, 1, 31, 32, mostRows, mostRows * 3 + 1])("removes %d rows", async (rows) => {
  let left = rows;
  let largest = 0;
  const total = await sweepInBatches(database, async (_, limit) => {
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
  await sweepInBatches(database, async (_, limit) => {
    order.push("batch");
    return ++batches < 3 ? limit : 0;
  });
  expect(order.indexOf("other")).toBe(1);
});

it("ends with what a batch failed with", async () => {
  await expect(sweepInBatches(database, () => Promise.reject(new Error("locked")))).rejects.toThrow("locked");
});

/** Sweeps on a host that takes `msOf` for a batch, and `commitMs` for its commit, and tells of each batch and the rest after it. */
async function sweepOn(msOf: (rows: number, batch: number) => number, batches: number, commitMs = 0) {
  let nowMs = 0;
  const seen: { rows: number; restMs: number }[] = [];
  const remove = async (_: Tx, rows: number) => {
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
  const slow: typeof database = {
    transaction: async (work) => {
      const result = await work({} as Tx);
      nowMs += commitMs;
      return result;
    },
  };
  await sweepInBatches(slow, remove, { monotonicMs: () => nowMs, rest });
  return { rows: seen.map(({ rows }) => rows), rests: seen.map(({ restMs }) => restMs), tookMs: nowMs };
}

it("takes more rows at a time where they take little, up to the most", async () => {
  expect((await sweepOn((rows) => rows * 0.01, 5)).rows).toEqual([32, 64, 128, mostRows, mostRows]);
});

it("takes as many rows at a time as are removed in 4 ms", async () => {
  const { rows } = await sweepOn((rows) => 0.5 + rows * 0.035, 40);
  expect(rows.slice(8).every((count) => Math.abs(count - 100) <= 2)).toBe(true);
});

it("takes fewer at once after a slow batch, and grows back by twice at most", async () => {
  const { rows } = await sweepOn((rows, batch) => (batch === 3 ? 113 : rows * 0.01), 8);
  expect(rows).toEqual([32, 64, 128, mostRows, 32, 64, 128, mostRows]);
});

it("takes no fewer than 32", async () => {
  expect(new Set((await sweepOn(() => 15, 100)).rows)).toEqual(new Set([32]));
});

it("takes no fewer for a slow disk, which takes as long for one row", async () => {
  const { rows, tookMs } = await sweepOn((rows) => rows * 0.01, 100, 25);
  expect(rows.slice(0, 5)).toEqual([32, 64, 128, mostRows, mostRows]);
  expect((100 * mostRows) / tookMs).toBeGreaterThan(2.5);
});

it("rests three times as long as a batch took, shorter where 4 000 rows a second ask for it, but never shorter than the batch", async () => {
  expect((await sweepOn((_, batch) => [1, 3, 30][batch] ?? 0, 3)).rests).toEqual([3, 9, 30]);
  expect((await sweepOn(() => 0.5, 4, 4)).rests).toEqual([4.5, 11.5, 13.5, 13.5]);
});
