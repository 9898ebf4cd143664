import type { ServerResponse } from "node:http";
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, expect, test, vi } from "vitest";
import { endTogether } from "./end-together.ts";

afterEach(() => vi.restoreAllMocks());

/** Ends answers at these times, in milliseconds, and says which are out at once. */
function endAll(answers: readonly (readonly [name: string, atMs: number, body: string])[]): string[] {
  const out: string[] = [];
  const now = vi.spyOn(performance, "now");
  for (const [name, atMs, body] of answers) {
    now.mockReturnValue(atMs);
    endTogether({ end: () => out.push(name) } as unknown as ServerResponse, body);
  }
  return out;
}

test("answers that follow each other closely go out together, in their order, when the turn is over", async () => {
  const out = endAll([
    ["first", 1000, ""],
    ["close", 1000.05, "x"],
    ["close too", 1000.1, "y"],
  ]);
  expect(out).toEqual(["first"]);
  await nextTurn();
  expect(out).toEqual(["first", "close", "close too"]);
});

test("one that comes by itself, and a long one, waits for nothing", () => {
  const out = endAll([
    ["first", 2000, ""],
    ["later", 2000.07, ""],
    ["long", 2000.08, "x".repeat(513)],
  ]);
  expect(out).toEqual(["first", "later", "long"]);
});

test("no more than 32 wait", () => {
  const out = endAll(Array.from({ length: 33 }, (_, at) => [String(at), 3000 + at / 1000, ""] as const));
  expect(out).toHaveLength(33);
});
