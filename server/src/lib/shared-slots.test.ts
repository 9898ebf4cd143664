import { expect, it } from "vitest";
import { DomainError } from "./errors.ts";
import { SharedSlots, type Slot, type SlotHolder } from "./shared-slots.ts";

/** A slot, or undefined where none is to be had. */
function take(slots: SharedSlots, holder: SlotHolder): Slot | undefined {
  try {
    return slots.take(holder);
  } catch (error) {
    if (error instanceof DomainError && error.reason === "TOO_MANY_STREAMS") return undefined;
    throw error;
  }
}

let count = 0;
/** Takes a slot as a principal that nobody has seen before. */
function takeAs(slots: SharedSlots, tenant: string | undefined): Slot | undefined {
  count += 1;
  return take(slots, { caller: `caller-${count}`, tenant });
}

function takeMany(slots: SharedSlots, tenant: string | undefined, times: number): (Slot | undefined)[] {
  return Array.from({ length: times }, () => takeAs(slots, tenant));
}

it("gives each caller so many, and back what is released, once", () => {
  const slots = new SharedSlots({ total: 10, perCaller: 2 });
  const own = { caller: "c", tenant: "t" };
  const [first] = [take(slots, own), take(slots, own)];
  expect(take(slots, own)).toBeUndefined();
  first?.release();
  first?.release();
  expect(slots.size).toBe(1);
  expect(take(slots, own)).toBeDefined();
  expect(take(slots, own)).toBeUndefined();
});

it("says by whose limit none is to be had, and how many that are", () => {
  const slots = new SharedSlots({ total: 10, perCaller: 2 });
  const own = { caller: "c", tenant: "t" };
  slots.take(own);
  slots.take(own);
  expect(() => slots.take(own)).toThrow(
    "you have 2 streams of this kind open, as many as one caller may: end one first",
  );
  takeMany(slots, "t", 7);
  expect(() => slots.take({ caller: "d", tenant: "t" })).toThrow(
    "all 9 streams that callers share are taken, 9 of them by your organizations: end one, or try again later",
  );
  const other = takeMany(slots, "other", 4);
  for (const slot of other) slot?.release();
  takeMany(slots, "t", 1);
  expect(() => slots.take({ caller: "d", tenant: "t" })).toThrow(
    "your organizations have 4 streams that made room for others and are not read to their end: end them first",
  );
  const filled = new SharedSlots({ total: 3, perCaller: 9, reserved: 0 });
  takeMany(filled, undefined, 3);
  expect(() => filled.take({ caller: "e", tenant: undefined })).toThrow(
    "all 3 streams that callers share are taken: end one, or try again later",
  );
});

it("is used up by no tenant for another, however many principals it has", () => {
  const slots = new SharedSlots({ total: 10, perCaller: 2 });
  const greedy = takeMany(slots, "greedy", 9);
  expect(greedy).not.toContain(undefined);
  expect(takeAs(slots, "greedy")).toBeUndefined();
  const other = takeMany(slots, "other", 4);
  expect(other).not.toContain(undefined);
  expect(greedy.map((slot) => slot?.signal.aborted)).toEqual([
    ...[true, true, true, true],
    ...[false, false, false, false, false],
  ]);
  expect(slots.size).toBe(9);
  // Five to four: another exchange would only turn them round, again and again.
  expect(takeAs(slots, "other")).toBeUndefined();
  expect(takeAs(slots, "greedy")).toBeUndefined();
  expect(other.some((slot) => slot?.signal.aborted)).toBe(false);
});

it("keeps a share for superusers, and makes room for them beyond it", () => {
  const slots = new SharedSlots({ total: 10, perCaller: 20, reserved: 2 });
  const tenants = takeMany(slots, "t", 8);
  expect(takeAs(slots, "t")).toBeUndefined();
  const supers = takeMany(slots, undefined, 2);
  expect(supers).not.toContain(undefined);
  expect(tenants.some((slot) => slot?.signal.aborted)).toBe(false);
  expect(takeAs(slots, undefined)).toBeDefined();
  expect(tenants.map((slot) => slot?.signal.aborted).indexOf(false)).toBe(1);
  // They are nobody's to push out.
  expect(takeMany(slots, undefined, 7)).not.toContain(undefined);
  expect(takeAs(slots, undefined)).toBeUndefined();
  expect(takeAs(slots, "t")).toBeUndefined();
  expect(supers.some((slot) => slot?.signal.aborted)).toBe(false);
});

it("counts a slot that was given away no more, and not twice when it is released", () => {
  const slots = new SharedSlots({ total: 3, perCaller: 3, reserved: 0 });
  const own = { caller: "c", tenant: "greedy" };
  const [oldest] = [take(slots, own), take(slots, own), take(slots, own)];
  expect(takeAs(slots, "other")).toBeDefined();
  expect(oldest?.signal.aborted).toBe(true);
  oldest?.release();
  expect(slots.size).toBe(3);
});

it("goes on counting what does not end for whose it was, and for nobody else", () => {
  const slots = new SharedSlots({ total: 4, perCaller: 9, reserved: 0 });
  const lingering: (Slot | undefined)[] = [];
  for (let round = 0; round < 6; round += 1) {
    const own = takeMany(slots, `greedy-${round}`, 4);
    const accomplice = takeAs(slots, "accomplice");
    lingering.push(own[0]);
    for (const slot of [...own.slice(1), accomplice]) slot?.release();
    // The one that was displaced is one of its four still.
    const again = takeMany(slots, `greedy-${round}`, 4);
    expect(again.map((slot) => slot !== undefined)).toEqual([true, true, true, false]);
    for (const slot of again) slot?.release();
  }
  expect(lingering.every((slot) => slot?.signal.aborted)).toBe(true);
  expect(takeMany(slots, "greedy", 4)).not.toContain(undefined);
  expect(takeAs(slots, "late")).toBeDefined();
  for (const slot of lingering) slot?.release();
  expect(slots.size).toBe(4);
  expect(takeAs(slots, "greedy-0")).toBeDefined();
});
