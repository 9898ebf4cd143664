import { expect, test } from "vitest";
import { toSortedJson } from "./sorted-json.ts";

test("members stand in the order of their names, at every depth, items as they were", () => {
  const text = toSortedJson({ b: [{ d: 1, c: null }, 2, 1], a: { z: undefined, y: "ü" } });
  expect(text).toBe('{"a":{"y":"ü"},"b":[{"c":null,"d":1},2,1]}');
});

test.each([
  [{ a: 1, b: 2 }, { b: 2, a: 1 }, true],
  [{ a: [1, 2] }, { a: [2, 1] }, false],
  [{ a: 1 }, { a: "1" }, false],
  [{ a: {} }, { a: [] }, false],
])("%j and %j are one text: %j", (one, other, same) => {
  expect(toSortedJson(one) === toSortedJson(other)).toBe(same);
});
