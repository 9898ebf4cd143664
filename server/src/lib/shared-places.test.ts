import { expect, it } from "vitest";
import { type Place, SharedPlaces } from "./shared-places.ts";

let count = 0;
/** Takes a place as a principal that nobody has seen before. */
function takeAs(places: SharedPlaces, tenant: string | undefined): Place | undefined {
  count += 1;
  return places.take({ caller: `caller-${count}`, tenant });
}

function takeMany(places: SharedPlaces, tenant: string | undefined, times: number): (Place | undefined)[] {
  return Array.from({ length: times }, () => takeAs(places, tenant));
}

it("gives each caller so many, and back what is released, once", () => {
  const places = new SharedPlaces({ total: 10, perCaller: 2 });
  const own = { caller: "c", tenant: "t" };
  const [first] = [places.take(own), places.take(own)];
  expect(places.take(own)).toBeUndefined();
  first?.release();
  first?.release();
  expect(places.size).toBe(1);
  expect(places.take(own)).toBeDefined();
  expect(places.take(own)).toBeUndefined();
});

it("is used up by no tenant for another, however many principals it has", () => {
  const places = new SharedPlaces({ total: 10, perCaller: 2 });
  const greedy = takeMany(places, "greedy", 9);
  expect(greedy).not.toContain(undefined);
  expect(takeAs(places, "greedy")).toBeUndefined();
  const other = takeMany(places, "other", 4);
  expect(other).not.toContain(undefined);
  expect(greedy.map((place) => place?.signal.aborted)).toEqual([
    ...[true, true, true, true],
    ...[false, false, false, false, false],
  ]);
  expect(places.size).toBe(9);
  // Five to four: another exchange would only turn them round, again and again.
  expect(takeAs(places, "other")).toBeUndefined();
  expect(takeAs(places, "greedy")).toBeUndefined();
  expect(other.some((place) => place?.signal.aborted)).toBe(false);
});

it("keeps a share for superusers, and makes room for them beyond it", () => {
  const places = new SharedPlaces({ total: 10, perCaller: 20, reserved: 2 });
  const tenants = takeMany(places, "t", 8);
  expect(takeAs(places, "t")).toBeUndefined();
  const supers = takeMany(places, undefined, 2);
  expect(supers).not.toContain(undefined);
  expect(tenants.some((place) => place?.signal.aborted)).toBe(false);
  expect(takeAs(places, undefined)).toBeDefined();
  expect(tenants.map((place) => place?.signal.aborted).indexOf(false)).toBe(1);
  // They are nobody's to push out.
  expect(takeMany(places, undefined, 7)).not.toContain(undefined);
  expect(takeAs(places, undefined)).toBeUndefined();
  expect(takeAs(places, "t")).toBeUndefined();
  expect(supers.some((place) => place?.signal.aborted)).toBe(false);
});

it("counts a place that was given away no more, and not twice when it is released", () => {
  const places = new SharedPlaces({ total: 3, perCaller: 3, reserved: 0 });
  const own = { caller: "c", tenant: "greedy" };
  const [oldest] = [places.take(own), places.take(own), places.take(own)];
  expect(takeAs(places, "other")).toBeDefined();
  expect(oldest?.signal.aborted).toBe(true);
  oldest?.release();
  expect(places.size).toBe(3);
});

it("goes on counting what does not end for whose it was, and for nobody else", () => {
  const places = new SharedPlaces({ total: 4, perCaller: 9, reserved: 0 });
  const lingering: (Place | undefined)[] = [];
  for (let round = 0; round < 6; round += 1) {
    const own = takeMany(places, `greedy-${round}`, 4);
    const accomplice = takeAs(places, "accomplice");
    lingering.push(own[0]);
    for (const place of [...own.slice(1), accomplice]) place?.release();
    // The one that was displaced is one of its four still.
    const again = takeMany(places, `greedy-${round}`, 4);
    expect(again.map((place) => place !== undefined)).toEqual([true, true, true, false]);
    for (const place of again) place?.release();
  }
  expect(lingering.every((place) => place?.signal.aborted)).toBe(true);
  expect(takeMany(places, "greedy", 4)).not.toContain(undefined);
  expect(takeAs(places, "late")).toBeDefined();
  for (const place of lingering) place?.release();
  expect(places.size).toBe(4);
  expect(takeAs(places, "greedy-0")).toBeDefined();
});
