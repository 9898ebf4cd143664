import { expect, it } from "vitest";
import { rowsPerBatch, sweepInBatches } from "./sweep.ts";

it.each([0, 1, rowsPerBatch - 1, rowsPerBatch, rowsPerBatch * 3 + 1])("removes %d rows", async (rows) => {
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
  expect(largest).toBeLessThanOrEqual(rowsPerBatch);
});

it("lets others have their turn between batches", async () => {
  const order: string[] = [];
  let batches = 0;
  setImmediate(() => order.push("other"));
  await sweepInBatches(async () => {
    order.push("batch");
    return ++batches < 3 ? rowsPerBatch : 0;
  });
  expect(order.indexOf("other")).toBe(1);
});

it("ends with what a batch failed with", async () => {
  await expect(sweepInBatches(() => Promise.reject(new Error("locked")))).rejects.toThrow("locked");
});

it("rests three times as long as a batch took, but holds a pace of 4 000 rows a second", async () => {
  let nowMs = 0;
  const batches = [2, 5, 7, 19, 50, 1];
  const rests: number[] = [];
  const removeBatch = async () => {
    nowMs += batches.shift() ?? 0;
    return batches.length > 0 ? rowsPerBatch : 0;
  };
  const rest = async (ms: number) => {
    rests.push(ms);
    nowMs += ms;
  };
  await sweepInBatches(removeBatch, { monotonicMs: () => nowMs, rest });
  expect(rests).toEqual([6, 15, 21, 21, 1]);
});
