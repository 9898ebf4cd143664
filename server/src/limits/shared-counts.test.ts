import { afterEach, describe, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import type { Database } from "../db/database.ts";
import { DomainError } from "../lib/errors.ts";
import { silentLog } from "../lib/log.ts";
import { SharedCounts } from "./shared-counts.ts";

const start = Date.UTC(2027, 0, 1);
let nowMs = start;
const clock = { now: () => new Date(nowMs) };

const running: SharedCounts[] = [];
afterEach(async () => {
  for (const counts of running.splice(0)) await counts.close();
  nowMs = start;
});

/** Exchanges only when told to. */
async function startCounts(database: Database): Promise<SharedCounts> {
  const counts = new SharedCounts({
    database,
    clock,
    log: silentLog,
    windowMs: 60_000,
    exchangeEveryMs: 3_600_000,
  });
  running.push(counts);
  await counts.start();
  return counts;
}

describeDatabases("shared counts", (under) => {
  it("count together what several processes see", async () => {
    const here = await startCounts(under.database);
    const there = await startCounts(await under.openAnother());
    for (let count = 0; count < 3; count += 1) here.add("together");
    there.add("together");
    expect([here.total("together"), there.total("together")]).toEqual([3, 1]);
    await here.exchange();
    await there.exchange();
    await here.exchange();
    // Of an SQLite file there is one server: what it counted reaches those that start later.
    const late = await startCounts(under.database);
    expect(late.total("together")).toBe(4);
    if (under.dialect === "postgres")
      expect([here.total("together"), there.total("together")]).toEqual([4, 4]);
  });

  it("are shared again at once when a clock that ran ahead is set right, and lock nobody out", async () => {
    const here = await startCounts(under.database);
    const there = await startCounts(await under.openAnother());
    nowMs = start + 3_600_000;
    for (let count = 0; count < 5; count += 1) here.add("ahead");
    await here.exchange();
    await there.exchange();
    nowMs = start + 60_000;
    expect([here.total("ahead"), there.total("ahead")]).toEqual([0, 0]);
    there.add("ahead");
    await there.exchange();
    await here.exchange();
    const late = await startCounts(under.database);
    expect([here.total("ahead"), late.total("ahead")]).toEqual([under.dialect === "postgres" ? 1 : 0, 1]);
    // And what was counted ahead is gone from the table.
    nowMs += 60_000;
    await here.exchange();
    const rows = await under.database.reader.selectFrom("rate_counts").select("updated_at").execute();
    expect(rows.filter(({ updated_at }) => updated_at > nowMs)).toEqual([]);
  });

  it("are not lost by a restart, and forgotten with their window", async () => {
    const before = await startCounts(under.database);
    before.add("restart");
    await before.close();
    const next = await startCounts(under.database);
    expect(next.total("restart")).toBe(1);
    nowMs += 64_999;
    expect(next.total("restart")).toBe(1);
    nowMs += 1;
    expect(next.total("restart")).toBe(0);
  });

  it("leave no row behind that nobody needs", async () => {
    const counts = await startCounts(under.database);
    counts.add("pruned");
    await counts.exchange();
    const find = () =>
      under.database.reader.selectFrom("rate_counts").select("key").where("key", "=", "pruned").execute();
    expect(await find()).toHaveLength(1);
    nowMs += 200_000;
    await counts.exchange();
    expect(await find()).toHaveLength(0);
  });

  it("add up exactly when processes write at once", async () => {
    const all = await Promise.all(
      [under.database, await under.openAnother(), await under.openAnother()].map(startCounts),
    );
    for (let round = 0; round < 5; round += 1) {
      for (const counts of all) for (const key of ["at-once-1", "at-once-2", "at-once-3"]) counts.add(key);
      await Promise.all(all.map((counts) => counts.exchange()));
    }
    const late = await startCounts(under.database);
    expect(late.total("at-once-2")).toBe(15);
  });
});

describeDatabases("places among all that is counted", (under) => {
  it("are another for each, of one process or of several", async () => {
    const others = under.dialect === "postgres" ? [await under.openAnother(), await under.openAnother()] : [];
    const all = await Promise.all([under.database, ...others].map(startCounts));
    const places = await Promise.all(
      all.flatMap((counts) => Array.from({ length: 20 }, () => counts.addTogether("burst"))),
    );
    expect(places.filter((place) => place <= 20).length).toBeLessThanOrEqual(20);
    expect(Math.max(...places)).toBe(20 * all.length);
    expect(await all[0]?.addTogether("burst")).toBe(20 * all.length + 1);
  });
});

describe("shared counts without their database", () => {
  it("count alone, and tell everything once it is back", async () => {
    let isDown = true;
    const told: unknown[] = [];
    const database = {
      dialect: "postgres",
      isShared: true,
      transaction: async () => {
        if (isDown) throw new DomainError("UNAVAILABLE");
        told.push("told");
        return [2];
      },
      get reader() {
        throw new DomainError("UNAVAILABLE");
      },
    } as unknown as Database;
    const counts = await startCounts(database);
    counts.add("alone");
    await counts.exchange();
    counts.add("alone");
    expect(counts.total("alone")).toBe(2);
    expect([await counts.addTogether("place"), await counts.addTogether("place")]).toEqual([1, 2]);
    isDown = false;
    await counts.exchange();
    expect(told).toHaveLength(1);
    expect(counts.total("alone")).toBe(2);
  });
});
