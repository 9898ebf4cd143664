import { expect, test } from "vitest";
import { andThen, atOnce } from "./at-once.ts";

test("what is there at once is answered so, through every step", () => {
  expect(atOnce(() => andThen(20, (n) => andThen(n + 1, (m) => m * 2)))).toBe(42);
});

test("what is waited for comes as a promise, and goes on when it is there", async () => {
  const answer = atOnce(() => andThen(Promise.resolve(20), (n) => n + 22));
  expect(answer).toBeInstanceOf(Promise);
  expect(await answer).toBe(42);
});

test("what is thrown rejects, at once or later", async () => {
  const fail = (): number => {
    throw new Error("no");
  };
  await expect(atOnce(fail)).rejects.toThrow("no");
  await expect(atOnce(() => andThen(1, fail))).rejects.toThrow("no");
  await expect(atOnce(() => andThen(Promise.resolve(1), fail))).rejects.toThrow("no");
});
