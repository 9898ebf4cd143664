import { expect, it } from "vitest";
import { listKeyMetrics } from "./key-metrics.ts";

const since = new Date("2026-01-01T00:00:00Z");
const next = new Date("2026-01-31T00:00:00Z");

it("asks for the signing keys only while the feed is confirmed, and shows those it saw last", async () => {
  let isConfirmed = false;
  let reads = 0;
  let isDown = false;
  const schedule = { signsFromAt: since, nextSignsFromAt: next };
  const [, rotation] = listKeyMetrics({
    feed: { isConfirmed: () => isConfirmed },
    keyring: {
      get: async () => {
        reads += 1;
        if (isDown) throw new Error("gone");
        return { findSchedule: () => schedule };
      },
    },
    clock: { now: () => since },
  });
  expect(rotation?.name).toBe("signing_key_rotation_timestamp_seconds");
  expect(await rotation?.read()).toBeNaN();
  expect(reads).toBe(0);
  isConfirmed = true;
  expect(await rotation?.read()).toBe(next.getTime() / 1000);
  isDown = true;
  expect(await rotation?.read()).toBe(next.getTime() / 1000);
  isConfirmed = false;
  const before = reads;
  expect(await rotation?.read()).toBe(next.getTime() / 1000);
  expect(reads).toBe(before);
});
