import { expect, it } from "vitest";
import { oneAtATime } from "./one-at-a-time.ts";

it("starts no second sweep while the first is under way, and another after it, failed or not", async () => {
  const ends: ((error?: Error) => void)[] = [];
  const sweep = oneAtATime(
    () => new Promise((resolve, reject) => ends.push((error) => (error ? reject(error) : resolve()))),
  );
  const first = sweep();
  await sweep();
  expect(ends).toHaveLength(1);
  ends[0]?.(new Error("locked"));
  await expect(first).rejects.toThrow("locked");
  const second = sweep();
  ends[1]?.();
  await second;
  void sweep();
  expect(ends).toHaveLength(3);
});
