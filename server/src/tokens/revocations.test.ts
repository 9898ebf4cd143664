import { describe, expect, it } from "vitest";
import type { ChangeListener } from "../changes/feed.ts";
import type { Tx } from "../db/database.ts";
import type { RevokedToken } from "./revocation-store.ts";
import { Revocations } from "./revocations.ts";

const startedAt = new Date("2026-01-01T00:00:00Z");
const tx = {} as Tx;

/** Revocations over rows in a list and a feed moved by hand. */
function arrange(options: { rows?: RevokedToken[]; maxEntries?: number } = {}) {
  const rows = [...(options.rows ?? [])];
  let listener: ChangeListener | undefined;
  const state = {
    confirmed: true,
    failing: false,
    reads: 0,
    loads: 0,
    now: startedAt,
    held: undefined as Promise<void> | undefined,
  };
  const revocations = new Revocations({
    feed: {
      isConfirmed: () => state.confirmed,
      subscribe: (given) => {
        listener = given;
        return () => {};
      },
      append: async (_tx, ...changes) => {
        for (const change of changes) listener?.onChange(change);
      },
    },
    store: {
      insert: async (_tx, row) => void rows.push(row),
      isRevoked: async (jti) => {
        state.reads++;
        if (state.failing) throw new Error("the database is gone");
        return rows.some((row) => row.jti === jti);
      },
      findAll: async (now, limit) => {
        state.loads++;
        if (state.failing) throw new Error("the database is gone");
        const found = rows.filter((row) => row.expiresAt > now).slice(0, limit);
        await state.held;
        return found;
      },
    },
    clock: { now: () => state.now },
    clockSkewSeconds: 60,
    ...(options.maxEntries !== undefined && { maxEntries: options.maxEntries }),
  });
  const change = (jti: string) => listener?.onChange({ topic: "token", subject: jti });
  return { revocations, rows, state, change, reset: () => listener?.onReset() };
}

const row = (jti: string, seconds = 600): RevokedToken => ({
  jti,
  expiresAt: new Date(startedAt.getTime() + seconds * 1000),
});

describe("Revocations", () => {
  it("answers from memory once filled, without a read", async () => {
    const { revocations, state } = arrange({ rows: [row("a")] });
    await revocations.fill();
    expect(revocations.isRevoked("a")).toBe(true);
    expect(revocations.isRevoked("b")).toBe(false);
    expect(state.reads).toBe(0);
  });

  it("reads the row until it is filled, and fills itself", async () => {
    const { revocations, state } = arrange({ rows: [row("a")] });
    expect(await revocations.isRevoked("a")).toBe(true);
    await revocations.fill();
    expect(revocations.isRevoked("b")).toBe(false);
    expect(state).toMatchObject({ reads: 1, loads: 1 });
  });

  it("hears of revocations here and elsewhere at once", async () => {
    const { revocations, rows, change } = arrange();
    await revocations.fill();
    await revocations.revoke(tx, row("here"));
    expect(rows).toEqual([row("here", 660)]);
    expect(revocations.isRevoked("here")).toBe(true);
    change("elsewhere");
    expect(revocations.isRevoked("elsewhere")).toBe(true);
  });

  it("reads the row while the feed is not confirmed, and fails closed", async () => {
    const { revocations, rows, state } = arrange();
    await revocations.fill();
    state.confirmed = false;
    rows.push(row("late"));
    expect(await revocations.isRevoked("late")).toBe(true);
    expect(await revocations.isRevoked("good")).toBe(false);
    state.failing = true;
    await expect(revocations.isRevoked("good")).rejects.toThrow("gone");
  });

  it("keeps to the rows after a reset until it has read them all again", async () => {
    const { revocations, rows, reset } = arrange();
    await revocations.fill();
    rows.push(row("missed"));
    reset();
    expect(await revocations.isRevoked("missed")).toBe(true);
    await revocations.fill();
    expect(revocations.isRevoked("missed")).toBe(true);
    expect(revocations.isRevoked("good")).toBe(false);
  });

  it("does not take a read that began before a reset for complete", async () => {
    const { revocations, rows, state, reset } = arrange();
    let release = () => {};
    state.held = new Promise((resolve) => {
      release = resolve;
    });
    const filling = revocations.fill();
    rows.push(row("missed"));
    reset();
    release();
    await filling;
    expect(await revocations.isRevoked("missed")).toBe(true);
    expect(state.reads).toBe(1);
  });

  it("goes on with a failed fill later", async () => {
    const { revocations, rows, state } = arrange();
    state.failing = true;
    await revocations.fill();
    state.failing = false;
    rows.push(row("a"));
    expect(await revocations.isRevoked("a")).toBe(true);
    await revocations.fill();
    expect(revocations.isRevoked("b")).toBe(false);
  });

  it("forgets what has expired, not before", async () => {
    const { revocations, rows, state, change } = arrange({ rows: [row("short", 60)] });
    await revocations.fill();
    rows.push(row("long", 3660));
    change("long");
    state.now = new Date(startedAt.getTime() + 59_999);
    await revocations.prune();
    expect(revocations.size).toBe(2);
    state.now = new Date(startedAt.getTime() + 60_000);
    await revocations.prune();
    expect(revocations.size).toBe(1);
    state.now = new Date(startedAt.getTime() + 3_660_000);
    await revocations.prune();
    expect(revocations.size).toBe(0);
  });

  it("forgets none that was revoked elsewhere before its row says so", async () => {
    const { revocations, rows, state, change } = arrange();
    await revocations.fill();
    // A token of a day, from before the setting was an hour.
    rows.push(row("old", 86_400));
    change("old");
    for (const hours of [2, 23]) {
      state.now = new Date(startedAt.getTime() + hours * 3_600_000);
      await revocations.prune();
      expect(await revocations.isRevoked("old")).toBe(true);
    }
    state.now = new Date(startedAt.getTime() + 86_400_000);
    await revocations.prune();
    expect(revocations.size).toBe(0);
  });

  it("keeps what it heard of while the rows cannot be read, and what it hears of meanwhile", async () => {
    const { revocations, rows, state, change } = arrange();
    await revocations.fill();
    change("first");
    state.failing = true;
    await revocations.prune();
    expect(revocations.isRevoked("first")).toBe(true);
    state.failing = false;
    let release = () => {};
    state.held = new Promise((resolve) => {
      release = resolve;
    });
    const pruning = revocations.prune();
    rows.push(row("second"));
    change("second");
    release();
    await pruning;
    expect(revocations.isRevoked("second")).toBe(true);
    expect(revocations.size).toBe(1);
  });

  it("holds no more than it may, and reads the rows of the others", async () => {
    const { revocations, state } = arrange({ rows: [row("a"), row("b"), row("c", 3600)], maxEntries: 2 });
    await revocations.fill();
    expect(revocations.size).toBe(2);
    expect(await revocations.isRevoked("c")).toBe(true);
    expect(await revocations.isRevoked("good")).toBe(false);
    expect(state.loads).toBe(1);
    state.now = new Date(startedAt.getTime() + 600_000);
    await revocations.prune();
    expect(revocations.isRevoked("c")).toBe(true);
    expect(revocations.isRevoked("good")).toBe(false);
  });
});
