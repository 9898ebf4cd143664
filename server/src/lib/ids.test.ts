import { expect, it } from "vitest";
import { isUuid, newId } from "./ids.ts";

const now = new Date("2026-01-01T00:00:00Z");

it("makes UUIDs of version 7, unlike each other", () => {
  const ids = Array.from({ length: 1000 }, () => newId(now));
  expect(new Set(ids).size).toBe(1000);
  for (const id of ids)
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

it("leaves 74 bits to chance, each of them", () => {
  const ids = Array.from({ length: 1000 }, () => newId(now));
  const seen = (place: number) => [...new Set(ids.map((id) => id[place]))].toSorted().join("");
  const randomPlaces = [15, 16, 17, 20, 21, 22, ...Array.from({ length: 12 }, (_, index) => 24 + index)];
  for (const place of randomPlaces) expect(seen(place), `place ${place}`).toBe("0123456789abcdef");
  expect(seen(19)).toBe("89ab");
  expect(new Set(ids.map((id) => id.slice(15))).size).toBe(1000);
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
