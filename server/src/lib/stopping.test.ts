import { describe, expect, it, vi } from "vitest";
import { type Log, silentLog } from "./log.ts";
import { Stopping } from "./stopping.ts";

function setUp(totalMs = 1_000) {
  const lines: object[] = [];
  const log: Log = { ...silentLog, error: (fields) => lines.push(fields) };
  return { stopping: new Stopping({ log, totalMs }), lines };
}

const never = () => new Promise(() => {});

describe("Stopping", () => {
  it("waits for what is done in time, and says nothing", async () => {
    const { stopping, lines } = setUp();
    const done = vi.fn();
    await stopping.step("one", 1_000, async () => {
      await new Promise(setImmediate);
      done();
    });
    await stopping.step("two", 1_000, () => undefined);
    expect(done).toHaveBeenCalledOnce();
    expect(lines).toEqual([]);
    stopping.finish();
  });

  it("gives up what is late or fails, names it, and goes on", async () => {
    const { stopping, lines } = setUp();
    const err = new Error("broken");
    await stopping.step("late", 1, never);
    await stopping.step("failed", 1_000, () => Promise.reject(err));
    await stopping.step("thrown", 1_000, () => {
      throw err;
    });
    await stopping.step("fine", 1_000, async () => {});
    expect(lines).toEqual([{ step: "late" }, { step: "failed", err }, { step: "thrown", err }]);
    expect(() => stopping.finish()).toThrow("stopped without having finished: late, failed, thrown");
  });

  it("gives no step more time than is left of the whole", async () => {
    const { stopping } = setUp(50);
    const beganAtMs = performance.now();
    for (const name of ["one", "two", "three"]) await stopping.step(name, 30_000, never);
    expect(performance.now() - beganAtMs).toBeLessThan(15_000);
    expect(stopping.leftMs).toBe(0);
    // What takes no time is done all the same.
    await stopping.step("last", 30_000, async () => {});
    expect(() => stopping.finish()).toThrow(/: one, two, three$/);
  });
});
