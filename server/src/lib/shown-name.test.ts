import { expect, it } from "vitest";
import { toShownName } from "./shown-name.ts";

it.each([
  ["Acme", "Acme"],
  ["  Acme \r\n\tInc.\u0000 ", "Acme Inc."],
  ["\u202egnp.exe\u2066x\u2069", "gnp.exe x"],
  ["a\u2028b\u2029c\u061cd", "a b c d"],
  ["a\u200bb\ufeffc\u{e0041}", "a b c"],
  ["broken \ud800", "broken"],
  ["\u202e\u200b\u0007", ""],
  ["ac\u00adme \u3164\u115f\u180eInc.", "ac me Inc."],
  ["\u3164", ""],
  ["\u200d \u2800\ufe0f", ""],
  ["<b>Björn & Søn</b>", "<b>Björn & Søn</b>"],
  ["👩‍💻 مثال", "👩‍💻 مثال"],
])("%j is shown as %j", (name, shown) => {
  expect(toShownName(name)).toBe(shown);
});

it("cuts what is too long, between characters", () => {
  expect(toShownName("😀".repeat(5), 5)).toBe("😀".repeat(5));
  expect(toShownName("😀".repeat(6), 5)).toBe(`${"😀".repeat(4)}…`);
});
