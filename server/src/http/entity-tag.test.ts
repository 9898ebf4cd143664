import { expect, test } from "vitest";
import { isMatch, isNoneMatch, toTag, toWeakTag } from "./entity-tag.ts";

test.each([
  ["*", true],
  [" * ", true],
  ['"3"', true],
  ['"1", "3"', true],
  ['"1","3" , ', true],
  ['"a,b", "3"', true],
  ['W/"3"', false],
  ['"2"', false],
  ['"13"', false],
  ['"1,3"', false],
  ['"*"', false],
  ["3", false],
  ['"3', false],
  ["", false],
])("If-Match: %s lets a write to the third version through: %j", (header, passes) => {
  expect(isMatch(header, '"3"')).toBe(passes);
});

test("a weak tag never passes If-Match", () => {
  expect(isMatch('W/"3"', 'W/"3"')).toBe(false);
  expect(isMatch('"3"', 'W/"3"')).toBe(false);
});

test.each([
  ["*", true],
  ['"3"', true],
  ['W/"3"', true],
  ['W/"1", W/"3"', true],
  ['"2"', false],
  ["3", false],
  ["", false],
  [undefined, false],
  [null, false],
])("If-None-Match: %s knows the third version: %j", (header, knows) => {
  expect(isNoneMatch(header, '"3"')).toBe(knows);
  expect(isNoneMatch(header, 'W/"3"')).toBe(knows);
});

test("tags are made of the text alone", () => {
  expect(toTag("a")).toMatch(/^"[\w-]{22}"$/);
  expect(toTag("a")).not.toBe(toTag("b"));
  expect(toWeakTag("a")).toBe(`W/${toTag("a")}`);
});
