import { expect, test } from "vitest";
import { silentLog } from "../../lib/log.ts";
import { noDatabase } from "../test-support.ts";
import { KeyRates } from "./key-rates.ts";

function setUp(startMs = 0) {
  let nowMs = startMs;
  const clock = { now: () => new Date(nowMs) };
  const rates = new KeyRates({ clock, log: silentLog, database: noDatabase });
  return {
    rates,
    at: (seconds: number) => {
      nowMs = seconds * 1000;
    },
  };
}

const rate = { requests: 10, perSeconds: 100 };

function take(rates: KeyRates, keyId = "k"): number {
  return rates.take({ frontendId: "f", keyId, rate });
}

/** How many of so many uses come in. */
function use(rates: KeyRates, times: number, key = "k"): number {
  return Array.from({ length: times }, () => take(rates, key)).filter((wait) => wait === 0).length;
}

test("as many as it may, each key by itself", () => {
  const { rates } = setUp();
  expect(use(rates, 30)).toBe(10);
  expect(use(rates, 30, "other")).toBe(10);
});

test("no two windows' worth in one: what came before fades evenly", () => {
  const { rates, at } = setUp();
  at(99);
  expect(use(rates, 30)).toBe(10);
  at(100);
  expect(use(rates, 30)).toBe(0);
  at(150);
  expect(use(rates, 30)).toBe(5);
  at(199);
  expect(use(rates, 30)).toBe(4);
  at(400);
  expect(use(rates, 30)).toBe(10);
});

test.each([0, 30, 99])("says when there is room again: after %d s it is true", (start) => {
  const { rates, at } = setUp();
  at(start);
  use(rates, 10);
  const wait = take(rates);
  at(start + wait);
  expect(take(rates)).toBe(0);
  const { rates: others, at: atOthers } = setUp();
  atOthers(start);
  use(others, 10);
  atOthers(start + wait - 1.001);
  expect(take(others)).toBeGreaterThan(0);
});

test("refused uses do not count", () => {
  const { rates, at } = setUp();
  use(rates, 1000);
  at(110);
  expect(use(rates, 30)).toBe(1);
});

test("a clock that is set back begins anew", () => {
  const { rates, at } = setUp();
  at(1000);
  use(rates, 10);
  at(500);
  expect(use(rates, 30)).toBe(10);
});
