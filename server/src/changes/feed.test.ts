import { spawn } from "node:child_process";
import { once } from "node:events";
import { performance } from "node:perf_hooks";
import { sql } from "kysely";
import { afterEach, describe, expect, it, vi } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { eventually } from "../../../test/parts/eventually.ts";
import { within } from "../../../test/parts/within.ts";
import type { OpenDatabase } from "../db/kysely-database.ts";
import { silentLog } from "../lib/log.ts";
import { ChangeFeed, type ChangeFeedOptions, type FeedDatabase } from "./feed.ts";
import type { Change } from "./topics.ts";

/** Never, for a test. */
const never = 1_000_000;

const toStop: ChangeFeed[] = [];

afterEach(async () => {
  for (const feed of toStop.splice(0)) await feed.stop();
});

interface Follower {
  readonly feed: ChangeFeed;
  readonly seen: string[];
  resets: number;
}

/**
 * A follower that reads when it is told to or polls. Postgres does not wake it: a notification may
 * come before the commit's own answer, and a change is then told twice, as it may be.
 */
async function follow(database: OpenDatabase, options: Partial<ChangeFeedOptions> = {}): Promise<Follower> {
  const deaf: FeedDatabase = {
    dialect: database.dialect,
    isShared: database.isShared,
    reader: database.reader,
    transaction: (work) => database.transaction(work),
    afterCommit: (tx, hook) => database.afterCommit(tx, hook),
    close: () => database.close(),
    listen: () => async () => {},
    wakeOthers: () => {},
  };
  return followNotified(deaf, options);
}

async function followNotified(
  database: FeedDatabase,
  options: Partial<ChangeFeedOptions> = {},
): Promise<Follower> {
  const clock = { now: () => new Date() };
  const feed = new ChangeFeed({ database, clock, log: silentLog, ...options });
  toStop.push(feed);
  const follower: Follower = { feed, seen: [], resets: 0 };
  await feed.start();
  feed.subscribe({
    onChange: ({ subject }) => follower.seen.push(subject),
    onReset: () => {
      follower.resets++;
    },
  });
  return follower;
}

function change(subject: string): Change {
  return { topic: "credential", subject };
}

async function publish(database: OpenDatabase, feed: ChangeFeed, ...subjects: string[]): Promise<void> {
  await database.transaction((tx) => feed.append(tx, ...subjects.map(change)));
}

describeDatabases("change feed", (under) => {
  it("tells its own process after the commit and before the answer, once", async () => {
    const { feed, seen } = await follow(under.database, { pollIntervalMs: never });
    await under.database.transaction(async (tx) => {
      await feed.append(tx, change("own-1"), change("own-2"));
      expect(seen).toEqual([]);
    });
    expect(seen).toEqual(["own-1", "own-2"]);
    await feed.pollNow();
    await feed.pollNow();
    expect(seen).toEqual(["own-1", "own-2"]);
  });

  it("tells nobody of a transaction that rolled back", async () => {
    const other = await under.openAnother();
    const here = await follow(under.database);
    const there = await follow(other);
    const refused = under.database.transaction(async (tx) => {
      await here.feed.append(tx, change("undone"));
      throw new Error("no");
    });
    await expect(refused).rejects.toThrow("no");
    await publish(under.database, here.feed, "done");
    await there.feed.pollNow();
    expect([here.seen, there.seen]).toEqual([["done"], ["done"]]);
  });

  it("tells another instance on the same database within a second", async () => {
    const other = await under.openAnother();
    const here = await follow(under.database);
    const there = await follow(other);
    await within(1000, async () => {
      const before = there.seen.length;
      const publishedAtMs = performance.now();
      await publish(under.database, here.feed, "far");
      await vi.waitFor(() => expect(there.seen.slice(before)).toEqual(["far"]), {
        timeout: 5000,
        interval: 5,
      });
      return performance.now() - publishedAtMs;
    });
  });

  it("gives a follower every change, in order, while several instances commit at once", async () => {
    const databases = [under.database, await under.openAnother(), await under.openAnother()];
    const reader = await follow(await under.openAnother(), { pollIntervalMs: 1 });
    const writers = await Promise.all(databases.map((database) => follow(database, { pollIntervalMs: 5 })));
    const subjects = Array.from({ length: 150 }, (_, index) => `many-${index}`);
    await Promise.all(
      subjects.map((subject, index) => {
        const writer = index % databases.length;
        return publish(databases[writer] as OpenDatabase, (writers[writer] as Follower).feed, subject);
      }),
    );
    await reader.feed.pollNow();
    const { rows } = await sql<{ subject: string }>`
      select subject from changes where subject like 'many-%' order by seq`.execute(under.database.reader);
    expect(reader.seen).toEqual(rows.map(({ subject }) => subject));
    expect(reader.seen.toSorted()).toEqual(subjects.toSorted());
    for (const writer of writers) {
      await writer.feed.pollNow();
      expect([...new Set(writer.seen)].toSorted()).toEqual(subjects.toSorted());
      expect(writer.resets).toBe(0);
    }
  });

  it("makes a transaction with changes wait for the one before it, so that places follow commits", async () => {
    const other = await under.openAnother();
    const reader = await follow(await under.openAnother(), { pollIntervalMs: never });
    const { feed } = await follow(under.database, { pollIntervalMs: never });
    const { feed: otherFeed } = await follow(other, { pollIntervalMs: never });
    const appended = Promise.withResolvers<void>();
    const mayCommit = Promise.withResolvers<void>();
    const first = under.database.transaction(async (tx) => {
      await feed.append(tx, change("first"));
      appended.resolve();
      await mayCommit.promise;
    });
    await appended.promise;
    const second = publish(other, otherFeed, "second");
    for (let poll = 0; poll < 50; poll++) await reader.feed.pollNow();
    expect(reader.seen).toEqual([]);
    mayCommit.resolve();
    await Promise.all([first, second]);
    await reader.feed.pollNow();
    expect(reader.seen).toEqual(["first", "second"]);
  });

  it("is confirmed for two seconds after a read began, not before the start nor after the stop", async () => {
    let nowMs = 5000;
    const options = { pollIntervalMs: never, monotonicMs: () => nowMs };
    const clock = { now: () => new Date() };
    const unstarted = new ChangeFeed({ database: under.database, clock, log: silentLog });
    expect(unstarted.isConfirmed()).toBe(false);
    const { feed } = await follow(under.database, options);
    expect(unstarted.secondsSinceConfirmed).toBeUndefined();
    nowMs = 6999;
    expect(feed.isConfirmed()).toBe(true);
    expect(feed.secondsSinceConfirmed).toBe(1.999);
    nowMs = 7000;
    expect(feed.isConfirmed()).toBe(false);
    await feed.pollNow();
    expect(feed.isConfirmed()).toBe(true);
    await feed.stop();
    expect(feed.isConfirmed()).toBe(false);
    expect(feed.secondsSinceConfirmed).toBeUndefined();
  });

  it("is not confirmed by a read that fails", async () => {
    let nowMs = 0;
    const gone = await under.openAnother();
    const { feed } = await follow(gone, { pollIntervalMs: never, monotonicMs: () => nowMs });
    await gone.close();
    nowMs = 1999;
    await feed.pollNow();
    expect(feed.isConfirmed()).toBe(true);
    nowMs = 2000;
    await feed.pollNow();
    expect(feed.isConfirmed()).toBe(false);
  });

  it("catches up over more changes than one read takes", async () => {
    const other = await under.openAnother();
    const { feed } = await follow(under.database, { pollIntervalMs: never });
    const there = await follow(other, { pollIntervalMs: never });
    const subjects = Array.from({ length: 1203 }, (_, index) => `page-${index}`);
    await publish(under.database, feed, ...subjects);
    await there.feed.pollNow();
    expect(there.seen).toEqual(subjects);
  });

  it("prunes what is older than an hour and leaves followers their place", async () => {
    const other = await under.openAnother();
    let now = new Date("2027-01-01T00:00:00Z");
    const clock = { now: () => now };
    const options = { pollIntervalMs: never, clock };
    const { feed } = await follow(under.database, options);
    const upToDate = await follow(other, options);
    await publish(under.database, feed, "old-1", "old-2");
    await upToDate.feed.pollNow();
    now = new Date("2027-01-01T01:00:00.001Z");
    await publish(under.database, feed, "new");
    await feed.prune();
    const { rows } = await sql<{ subject: string }>`
      select subject from changes where created_at >= ${new Date("2027-01-01T00:00:00Z").getTime()} order by seq`.execute(
      under.database.reader,
    );
    expect(rows.map(({ subject }) => subject)).toEqual(["old-2", "new"]);
    await upToDate.feed.pollNow();
    expect(upToDate.seen).toEqual(["old-1", "old-2", "new"]);
    expect(upToDate.resets).toBe(0);
  });

  it("keeps what is exactly an hour old", async () => {
    let now = new Date("2027-02-01T00:00:00Z");
    const { feed } = await follow(under.database, { pollIntervalMs: never, clock: { now: () => now } });
    await publish(under.database, feed, "hour-1", "hour-2");
    now = new Date("2027-02-01T01:00:00Z");
    await feed.prune();
    const { rows } = await sql`select 1 from changes where subject like 'hour-%'`.execute(
      under.database.reader,
    );
    expect(rows).toHaveLength(2);
  });

  it("resets a follower that fell behind what was pruned, and goes on from there", async () => {
    const other = await under.openAnother();
    let now = new Date("2027-03-01T00:00:00Z");
    const options = { pollIntervalMs: never, clock: { now: () => now } };
    const { feed } = await follow(under.database, options);
    const behind = await follow(other, options);
    await publish(under.database, feed, "missed-1", "missed-2", "missed-3");
    now = new Date("2027-03-01T02:00:00Z");
    await feed.prune();
    await behind.feed.pollNow();
    expect(behind.resets).toBe(1);
    expect(behind.seen).toEqual([]);
    await publish(under.database, feed, "next");
    await behind.feed.pollNow();
    expect(behind.resets).toBe(1);
    expect(behind.seen).toEqual(["next"]);
  });

  it("resets a follower whose place another change has got, as after a restore", async () => {
    const { feed } = await follow(under.database);
    await publish(under.database, feed, "kept");
    const there = await follow(await under.openAnother(), { pollIntervalMs: never });
    await publish(under.database, feed, "lost");
    await there.feed.pollNow();
    expect(there.seen).toEqual(["lost"]);
    const { reader } = under.database;
    const last = await reader
      .selectFrom("changes")
      .selectAll()
      .orderBy("seq", "desc")
      .executeTakeFirstOrThrow();
    await reader.deleteFrom("changes").where("seq", "=", last.seq).execute();
    const overriding = sql.raw(under.dialect === "postgres" ? "overriding system value" : "");
    await sql`insert into changes (seq, topic, subject, created_at) ${overriding}
      values (${last.seq}, ${last.topic}, 'other', ${last.created_at})`.execute(reader);
    await there.feed.pollNow();
    expect(there.resets).toBe(1);
  });

  it("resets a follower whose feed was replaced under it", async () => {
    const { feed, seen } = await follow(under.database, { pollIntervalMs: never });
    const there = await follow(await under.openAnother(), { pollIntervalMs: never });
    await publish(under.database, feed, "lost-1");
    await there.feed.pollNow();
    await under.database.transaction((tx) => sql`delete from changes`.execute(tx));
    await there.feed.pollNow();
    expect(there.resets).toBe(1);
    expect(seen).toEqual(["lost-1"]);
  });

  it("goes on when a listener throws", async () => {
    const { feed, seen } = await follow(under.database, { pollIntervalMs: never });
    const unsubscribe = feed.subscribe({
      onChange: () => {
        throw new Error("a listener's own fault");
      },
      onReset: () => {},
    });
    feed.subscribe({ onChange: ({ subject }) => seen.push(`${subject} again`), onReset: () => {} });
    await publish(under.database, feed, "heard");
    unsubscribe();
    expect(seen).toEqual(["heard", "heard again"]);
  });

  it("refuses to start on a database that cannot be read", async () => {
    const gone = await under.openAnother();
    await gone.close();
    await expect(follow(gone)).rejects.toThrow();
    expect(toStop.pop()?.isConfirmed()).toBe(false);
  });

  it("hears within a second of a change made by another process", async () => {
    const { seen } = await follow(under.database);
    const script = `
      const { openDatabase } = await import(${JSON.stringify(import.meta.resolve("../db/open-database.ts"))});
      const { ChangeFeed } = await import(${JSON.stringify(import.meta.resolve("./feed.ts"))});
      const { silentLog: log } = await import(${JSON.stringify(import.meta.resolve("../lib/log.ts"))});
      const database = await openDatabase({ url: ${JSON.stringify(under.url)}, log });
      const feed = new ChangeFeed({ database, clock: { now: () => new Date() }, log });
      await database.transaction((tx) => feed.append(tx, { topic: "signing-keys", subject: "from-the-command-line" }));
      process.stdout.write("committed");
      await database.close();`;
    await within(1000, async () => {
      const before = seen.length;
      const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const exit = once(child, "exit");
      await once(child.stdout, "data");
      const committedAtMs = performance.now();
      await vi.waitFor(() => expect(seen.slice(before)).toEqual(["from-the-command-line"]), {
        timeout: 5000,
        interval: 5,
      });
      const heardAfterMs = performance.now() - committedAtMs;
      expect(await exit).toEqual([0, null]);
      return heardAfterMs;
    });
  });
});

describe("notifications", () => {
  describeDatabases("of the change feed", (under) => {
    it(
      under.dialect === "postgres"
        ? "arrive without a poll, also after the listening connection was lost"
        : "do not exist: it polls by itself",
      async () => {
        const other = await under.openAnother();
        const { feed } = await followNotified(other, { pollIntervalMs: never });
        const isPolled = under.dialect === "sqlite";
        const here = await followNotified(under.database, isPolled ? {} : { pollIntervalMs: never });
        await publish(other, feed, "notified");
        await vi.waitFor(() => expect(here.seen).toEqual(["notified"]), { timeout: 5000, interval: 5 });
        if (isPolled) return;
        const listening = sql`from pg_stat_activity where query like 'listen%' and datname = current_database()`;
        await eventually(async () => {
          const { rows } = await sql`select pid ${listening}`.execute(other.reader);
          expect(rows).toHaveLength(2);
        });
        await sql`select pg_terminate_backend(pid) ${listening}`.execute(other.reader);
        await publish(other, feed, "after the loss");
        await vi.waitFor(() => expect(here.seen).toEqual(["notified", "after the loss"]), { timeout: 5000 });
      },
    );
  });
});
