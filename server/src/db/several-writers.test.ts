/** An SQLite file that several processes of one server write to. */
import { afterEach, describe, expect, it } from "vitest";
import { createEmptyDatabase } from "../../../test/parts/databases.ts";
import { eventually } from "../../../test/parts/eventually.ts";
import { createSiblings } from "../../../test/parts/siblings.ts";
import { ChangeFeed } from "../changes/feed.ts";
import { silentLog } from "../lib/log.ts";
import { SharedCounts } from "../limits/shared-counts.ts";
import type { OpenDatabase } from "./kysely-database.ts";
import { migrate } from "./migrate.ts";
import { openDatabase } from "./open-database.ts";

const clock = { now: () => new Date() };
const toClose: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of toClose.splice(0).toReversed()) await close();
});

async function openAll(count: number): Promise<OpenDatabase[]> {
  const place = await createEmptyDatabase("sqlite");
  toClose.push(place.drop);
  const all = await Promise.all(
    createSiblings(count).map((siblings) => openDatabase({ url: place.url, log: silentLog, siblings })),
  );
  toClose.push(async () => void (await Promise.all(all.map((database) => database.close()))));
  if (all[0] !== undefined) await migrate(all[0]);
  return all;
}

/** Adds one to a row by a read and a write, between which others would come if they could. */
function increase(database: OpenDatabase): Promise<void> {
  return database.transaction(async (tx) => {
    const row = await tx.selectFrom("rate_counts").select("count").where("key", "=", "k").executeTakeFirst();
    await tx.deleteFrom("rate_counts").where("key", "=", "k").execute();
    const values = { key: "k", bucket_at: 0, count: (row?.count ?? 0) + 1, updated_at: 0 };
    await tx.insertInto("rate_counts").values(values).execute();
  });
}

describe("several writers of one file", () => {
  it("lose nothing of each other, and each has its turn while the others go on", async () => {
    const all = await openAll(3);
    const done = all.map(() => 0);
    let isOver = false;
    // Each has always something to write: without turns one of them would keep the file to itself.
    const writing = all.map(async (database, index) => {
      while (!isOver) {
        await Promise.all([increase(database), increase(database)]);
        done[index] = (done[index] ?? 0) + 2;
      }
    });
    await eventually(() => expect(Math.min(...done)).toBeGreaterThan(60));
    isOver = true;
    await Promise.all(writing);
    const [first, ...others] = await Promise.all(
      all.map(({ reader }) => reader.selectFrom("rate_counts").select("count").executeTakeFirstOrThrow()),
    );
    expect(first?.count).toBe(done.reduce((sum, each) => sum + each, 0));
    for (const other of others) expect(other).toEqual(first);
  });

  it("see what another has committed with the next read", async () => {
    const [one, two] = await openAll(2);
    for (let count = 1; count <= 50; count += 1) {
      if (one !== undefined) await increase(one);
      expect(await two?.reader.selectFrom("rate_counts").select("count").executeTakeFirst()).toEqual({
        count,
      });
    }
  });

  it("are woken by a change of another, and need not look for it", async () => {
    const [one, two] = await openAll(2);
    if (one === undefined || two === undefined) throw new Error("two were opened");
    const feeds = [one, two].map(
      (database) => new ChangeFeed({ database, clock, log: silentLog, pollIntervalMs: 3_600_000 }),
    );
    const heard: string[] = [];
    for (const feed of feeds) {
      await feed.start();
      toClose.push(() => feed.stop());
    }
    feeds[1]?.subscribe({ onChange: ({ subject }) => heard.push(subject), onReset: () => {} });
    await one.transaction(async (tx) => feeds[0]?.append(tx, { topic: "user", subject: "somebody" }));
    await eventually(() => expect(heard).toEqual(["somebody"]));
  });

  it("count together, and give each of what comes at once another place", async () => {
    const all = await openAll(3);
    const counts = all.map(
      (database) =>
        new SharedCounts({ database, clock, log: silentLog, windowMs: 60_000, exchangeEveryMs: 3_600_000 }),
    );
    for (const each of counts) {
      await each.start();
      toClose.push(() => each.close());
    }
    const places = await Promise.all(
      counts.flatMap((each) => Array.from({ length: 10 }, () => each.addTogether("burst"))),
    );
    expect(Math.max(...places)).toBe(30);
    expect(places.filter((place) => place <= 10).length).toBeLessThanOrEqual(10);
    for (const each of counts) await each.exchange();
    expect(counts.map((each) => each.total("burst"))).toEqual([30, 30, 30]);
  });
});
