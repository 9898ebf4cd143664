import { expect, it, vi } from "vitest";
import { type Log, silentLog } from "../lib/log.ts";
import { type Chore, type Sweep, Upkeep } from "./upkeep.ts";

function setUp(parts: { readonly chores?: readonly Chore[]; readonly sweeps?: readonly Sweep[] }) {
  const lines: string[] = [];
  const log: Log = { ...silentLog, error: (_fields, line) => lines.push(line) };
  const upkeep = new Upkeep({ chores: [], sweeps: [], ...parts, log });
  const readSwept = () => upkeep.metrics[0]?.read();
  return { upkeep, lines, readSwept };
}

it("runs sweeps one after another, and counts what they removed by kind, each from 0 on", async () => {
  const { promise, resolve } = Promise.withResolvers<number>();
  const second = vi.fn(async () => 3);
  const { upkeep, readSwept } = setUp({
    sweeps: [
      { kind: "flows", run: () => promise },
      { kind: "sessions", run: second },
    ],
  });
  expect(readSwept()).toEqual([
    { labels: { kind: "flows" }, value: 0 },
    { labels: { kind: "sessions" }, value: 0 },
  ]);
  const done = upkeep.run();
  expect(second).not.toHaveBeenCalled();
  resolve(2);
  await done;
  expect(readSwept()).toEqual([
    { labels: { kind: "flows" }, value: 2 },
    { labels: { kind: "sessions" }, value: 3 },
  ]);
});

it("lets no chore wait for a sweep, and begins nothing twice", async () => {
  const sweep = vi.fn(() => new Promise<number>(() => {}));
  const chore = vi.fn(async () => {});
  const { upkeep } = setUp({
    sweeps: [{ kind: "flows", run: sweep }],
    chores: [{ name: "keys", run: chore }],
  });
  void upkeep.run();
  await new Promise(setImmediate);
  void upkeep.run();
  await new Promise(setImmediate);
  expect(chore).toHaveBeenCalledTimes(2);
  expect(sweep).toHaveBeenCalledOnce();
});

it("tells of what failed and goes on, then and the next time", async () => {
  const fail = vi.fn(() => Promise.reject(new Error("locked")));
  const other = vi.fn(async () => 1);
  const { upkeep, lines, readSwept } = setUp({
    sweeps: [
      { kind: "flows", run: fail },
      { kind: "sessions", run: other },
    ],
    chores: [{ name: "upkeep of keys", run: fail }],
  });
  await upkeep.run();
  await upkeep.run();
  expect(other).toHaveBeenCalledTimes(2);
  expect(lines.toSorted()).toEqual([
    "upkeep of keys failed; will try again",
    "upkeep of keys failed; will try again",
    "what is over could not be removed; will try again",
    "what is over could not be removed; will try again",
  ]);
  expect(readSwept()).toContainEqual({ labels: { kind: "flows" }, value: 0 });
});

it("runs every minute until it is stopped", () => {
  vi.useFakeTimers();
  try {
    const run = vi.fn(async () => {});
    const { upkeep } = setUp({ chores: [{ name: "keys", run }] });
    upkeep.start();
    vi.advanceTimersByTime(59_999);
    expect(run).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(run).toHaveBeenCalledOnce();
    upkeep.stop();
    vi.advanceTimersByTime(120_000);
    expect(run).toHaveBeenCalledOnce();
  } finally {
    vi.useRealTimers();
  }
});
