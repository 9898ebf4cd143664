import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { EgressError } from "../egress/egress-error.ts";
import { DomainError } from "../lib/errors.ts";
import { NotProven } from "./not-proven.ts";
import { beginPatience, isOutage, withPatience } from "./outage.ts";

const never = () => new Promise<never>(() => {});
const unavailable = { reason: "UNAVAILABLE", message: expect.stringContaining("provider acme") };

describe("patience with a provider", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
  afterEach(() => void vi.useRealTimers());

  it("ends before the ten seconds in which an answer is owed", async () => {
    const waited = expect(withPatience("acme", never)).rejects.toMatchObject(unavailable);
    await vi.advanceTimersByTimeAsync(8_500);
    await waited;
  });

  it("is one for all steps, and none is left of it afterwards", async () => {
    const within = beginPatience("acme");
    expect(await within(async () => "at once")).toBe("at once");
    expect(vi.getTimerCount()).toBe(0);
    const first = within(() => new Promise((resolve) => setTimeout(() => resolve("late"), 8_000)));
    await vi.advanceTimersByTimeAsync(8_000);
    expect(await first).toBe("late");
    const second = expect(within(never)).rejects.toMatchObject(unavailable);
    await vi.advanceTimersByTimeAsync(500);
    await second;
    const third = expect(within(never)).rejects.toMatchObject(unavailable);
    await vi.advanceTimersByTimeAsync(0);
    await third;
  });

  it("passes on what the work throws", async () => {
    const failure = new Error("no");
    await expect(withPatience("acme", () => Promise.reject(failure))).rejects.toBe(failure);
  });
});

describe("an outage is told from a no", () => {
  it.each<[string, unknown, boolean]>([
    ["a fetch that failed", new EgressError("dns", "id.example.com", "unknown"), true],
    ["one below what a library says", new Error("x", { cause: new EgressError("tls", "", "x") }), true],
    ["what could not be known", new DomainError("UNAVAILABLE"), true],
    ["a server that fails", Object.assign(new Error("x"), { status: 503 }), true],
    ["a server that is asked too often", new NotProven("x", { status: 429 }), true],
    ["a refusal", Object.assign(new Error("x"), { status: 400 }), false],
    ["an answer of no use", new NotProven("x"), false],
    ["a credential that is bad", new DomainError("NOT_AUTHENTICATED"), false],
    ["no error", "x", false],
  ])("%s", (_name, error, expected) => {
    expect(isOutage(error)).toBe(expected);
  });
});
