import { expect, it } from "vitest";
import { rowsPerBatch, sweepInBatches } from "./sweep.ts";

it.each([0, 1, rowsPerBatch - 1, rowsPerBatch, rowsPerBatch * 3 + 1])("removes %d rows", async (rows) => {
  let left = rows;
  let largest = 0;
  await sweepInBatches(async (limit) => {
    const removed = Math.min(limit, left);
    largest = Math.max(largest, removed);
    left -= removed;
    return removed;
  });
  expect(left).toBe(0);
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
