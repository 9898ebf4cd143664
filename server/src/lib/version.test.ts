import { expect, it } from "vitest";
import { isAtLeast } from "./version.ts";

it.each([
  ["0.2.0", "0.2.0"],
  ["0.2.1", "0.2.0"],
  ["0.10.0", "0.9.9"],
  ["1.0.0", "0.99.99"],
  ["0.2.0+build.7", "0.2.0"],
  ["0.2.1-rc.1", "0.2.0"],
  ["0.2.0", "0.2.0-rc.1"],
])("%s is at least %s", (one, other) => {
  expect(isAtLeast(one, other)).toBe(true);
});

it.each([
  ["0.1.0", "0.2.0"],
  ["0.9.9", "0.10.0"],
  ["0.2.0-rc.1", "0.2.0"],
  ["0.2", "0.1.0"],
  ["0.2.0", ""],
  ["", "0.1.0"],
  ["0.2.0", "everybody"],
  ["0.2.0", " 0.1.0"],
  ["99999999999999999999.0.0", "0.1.0"],
])("%s is not at least %s", (one, other) => {
  expect(isAtLeast(one, other)).toBe(false);
});
