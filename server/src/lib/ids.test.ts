import { expect, it } from "vitest";
import { isUuid, newId } from "./ids.ts";

const now = new Date("2026-01-01T00:00:00Z");

it("makes UUIDs of version 7, unlike each other", () => {
  const ids = Array.from({ length: 1000 }, () => newId(now));
  expect(new Set(ids).size).toBe(1000);
  for (const id of ids)
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(new Set(ids.map((id) => id.slice(15, 18))).size).toBeGreaterThan(100);
});

it.each([0, 1, now.getTime(), 2 ** 48 - 1])("begins with the time: %i", (milliseconds) => {
  const id = newId(new Date(milliseconds));
  expect(isUuid(id)).toBe(true);
  expect(Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16)).toBe(milliseconds);
});

it("sorts by time", () => {
  const times = [0, 1, 15, 16, 255, 256, now.getTime(), now.getTime() + 1];
  const ids = times.map((time) => newId(new Date(time)));
  expect(ids.toSorted()).toEqual(ids);
});
