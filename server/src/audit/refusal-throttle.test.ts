import { expect, it } from "vitest";
import { RefusalThrottle, type SuppressedRefusals } from "./refusal-throttle.ts";

function createThrottle(options: { perBlock?: number; perMinute?: number; maxBlocks?: number } = {}) {
  const reported: SuppressedRefusals[] = [];
  const throttle = new RefusalThrottle({
    onSuppressed: (refusals) => reported.push(refusals),
    perBlock: 3,
    perMinute: 100,
    ...options,
  });
  return { throttle, reported };
}
const at = (seconds: number) => new Date(Date.UTC(2027, 0, 1) + seconds * 1000);
const admitMany = (throttle: RefusalThrottle, addresses: readonly string[], seconds = 0) =>
  addresses.map((address) => throttle.admit(address, at(seconds)));

it("admits so many of an address in a minute, counts the rest and reports their number when it is over", () => {
  const { throttle, reported } = createThrottle();
  expect(admitMany(throttle, Array(5).fill("192.0.2.1"))).toEqual([true, true, true, false, false]);
  expect(throttle.admit("192.0.2.2", at(0))).toBe(true);
  throttle.sweep(at(59));
  expect(reported).toEqual([]);
  throttle.sweep(at(60));
  expect(reported).toEqual([{ addressBlock: "192.0.2.1", count: 2, sinceAt: at(0) }]);
  expect(throttle.admit("192.0.2.1", at(60))).toBe(true);
});

it("begins a new minute by itself", () => {
  const { throttle, reported } = createThrottle();
  admitMany(throttle, Array(4).fill("192.0.2.1"));
  expect(throttle.admit("192.0.2.1", at(59.999))).toBe(false);
  expect(throttle.admit("192.0.2.1", at(60))).toBe(true);
  expect(reported).toMatchObject([{ count: 2 }]);
});

it("counts a /64 as one", () => {
  const { throttle } = createThrottle();
  expect(admitMany(throttle, ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4"])).toEqual([
    true,
    true,
    true,
    false,
  ]);
});

it("bounds all addresses together", () => {
  const { throttle, reported } = createThrottle({ perMinute: 4 });
  const addresses = Array.from({ length: 10 }, (_, index) => `192.0.2.${index}`);
  expect(admitMany(throttle, addresses).filter(Boolean)).toHaveLength(4);
  throttle.sweep(at(61));
  expect(reported).toEqual([{ addressBlock: "*", count: 6, sinceAt: at(0) }]);
});

it("forgets no count when it forgets an address", () => {
  const { throttle, reported } = createThrottle({ maxBlocks: 1 });
  admitMany(throttle, ["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"]);
  expect(reported).toMatchObject([{ addressBlock: "192.0.2.1", count: 1 }]);
});

it("reports the present minute too when asked for all", () => {
  const { throttle, reported } = createThrottle();
  admitMany(throttle, Array(4).fill("192.0.2.1"));
  throttle.sweep(at(1), true);
  expect(reported).toMatchObject([{ addressBlock: "192.0.2.1", count: 1 }]);
});

it("begins a new minute when a clock that ran ahead is set right", () => {
  const { throttle, reported } = createThrottle();
  expect(admitMany(throttle, Array(4).fill("192.0.2.1"), 3600)).toEqual([true, true, true, false]);
  expect(throttle.admit("192.0.2.1", at(0))).toBe(true);
  expect(reported).toEqual([{ addressBlock: "192.0.2.1", count: 1, sinceAt: at(3600) }]);
});
