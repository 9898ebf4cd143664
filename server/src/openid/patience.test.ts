import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { beginPatience, withPatience } from "./patience.ts";

const never = () => new Promise<never>(() => {});
const tooLate = { verdict: "later", findings: { cause: "timeout" } };

describe("patience with a provider", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
  afterEach(() => void vi.useRealTimers());

  it("ends before the ten seconds in which an answer is owed", async () => {
    const waited = expect(withPatience(never)).rejects.toMatchObject(tooLate);
    await vi.advanceTimersByTimeAsync(8_500);
    await waited;
  });

  it("is one for all steps, and none is left of it afterwards", async () => {
    const within = beginPatience();
    expect(await within(async () => "at once")).toBe("at once");
    expect(vi.getTimerCount()).toBe(0);
    const first = within(() => new Promise((resolve) => setTimeout(() => resolve("late"), 8_000)));
    await vi.advanceTimersByTimeAsync(8_000);
    expect(await first).toBe("late");
    const second = expect(within(never)).rejects.toMatchObject(tooLate);
    await vi.advanceTimersByTimeAsync(500);
    await second;
    const third = expect(within(never)).rejects.toMatchObject(tooLate);
    await vi.advanceTimersByTimeAsync(0);
    await third;
  });

  it("passes on what the work throws", async () => {
    const failure = new Error("no");
    await expect(withPatience(() => Promise.reject(failure))).rejects.toBe(failure);
  });
});
