import { expect, it } from "vitest";
import { createLru } from "./lru.ts";

it("keeps the latest used entries, as many as it may", () => {
  const lru = createLru<string, number>(2);
  lru.set("a", 1).set("b", 2);
  lru.get("a");
  lru.set("c", 3);
  expect([...lru.entries()]).toEqual([
    ["c", 3],
    ["a", 1],
  ]);
  lru.set("c", 4);
  expect([lru.size, lru.get("c"), lru.get("a"), lru.get("b")]).toEqual([2, 4, 1, undefined]);
});
