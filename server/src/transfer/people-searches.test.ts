import { randomUUID } from "node:crypto";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { useEmptyDatabases } from "../../../test/parts/databases.ts";
import { ChangeFeed } from "../changes/feed.ts";
import type { Database, Tx } from "../db/database.ts";
import type { OpenDatabase } from "../db/kysely-database.ts";
import { migrate } from "../db/migrate.ts";
import { openDatabase } from "../db/open-database.ts";
import { updateSearch } from "../db/search-prefixes.ts";
import { DomainError } from "../lib/errors.ts";
import { silentLog } from "../lib/log.ts";
import { insertUsers } from "../users/many-store.ts";
import { finishOldSearches, finishSearches, noteUnsearched } from "../users/search-backlog-store.ts";
import { deleteUser, lockUser, toSearchable, toUser, updateUser, updateUserState } from "../users/store.ts";
import { toNewUser, type User } from "../users/user.ts";
import { PeopleSearches } from "./people-searches.ts";

const started = new Date("2026-05-06T07:08:09Z");
const clock = { now: () => started };

function makeUsers(count: number): User[] {
  return Array.from({ length: count }, (_, at) => ({
    ...toNewUser(`ada-${randomUUID()}@example.org`, started),
    id: randomUUID(),
    title: `Ada ${at}`,
    state: at % 5 === 2 ? ("disabled" as const) : ("enabled" as const),
  }));
}

describe.each(["sqlite", "postgres"] as const)("what imported people are found by (%s)", (dialect) => {
  const emptyDatabase = useEmptyDatabases();
  let database: OpenDatabase;
  let feed: ChangeFeed;

  let url: string;

  async function open(at: string): Promise<OpenDatabase> {
    const opened = await openDatabase({ url: at, log: silentLog });
    await migrate(opened);
    return opened;
  }

  beforeEach(async () => {
    url = await emptyDatabase(dialect);
    database = await open(url);
    feed = new ChangeFeed({ database, clock, log: silentLog });
    return () => database.close();
  });

  const store = (users: readonly User[], searches: PeopleSearches) =>
    database.transaction(async (tx) => {
      await insertUsers(tx, users);
      await searches.add(tx, users);
    });

  const read = async ({ reader }: Pick<Database, "reader">) =>
    (await reader.selectFrom("search_prefixes").selectAll().execute())
      .map(({ kind, prefix, id }) => [kind, prefix, id].join(" "))
      .toSorted();

  const countBacklog = async () =>
    (await database.reader.selectFrom("search_backlog").selectAll().execute()).length;

  /** All are found by what they are called now and by nothing else, and none is left to be seen to. */
  async function expectWhole(): Promise<void> {
    const other = await open(await emptyDatabase(dialect));
    onTestFinished(() => other.close());
    const rows = await database.reader.selectFrom("users").selectAll().execute();
    await other.transaction(async (tx) => {
      for (const row of rows) await updateSearch(tx, "user", undefined, toSearchable(toUser(row)));
    });
    expect(await read(database)).toEqual(await read(other));
    expect(await countBacklog()).toBe(0);
  }

  it("is there once an import has ended", async () => {
    const searches = new PeopleSearches({ database, clock });
    for (let batch = 0; batch < 3; batch++) {
      await store(makeUsers(50), searches);
      await searches.settle(false);
    }
    expect(await countBacklog()).toBe(dialect === "sqlite" ? 150 : 0);
    await searches.settle(true);
    await expectWhole();
  });

  it("is nobody's whose transaction was rolled back", async () => {
    const searches = new PeopleSearches({ database, clock });
    const users = makeUsers(3);
    const failing = database.transaction(async (tx) => {
      await insertUsers(tx, users);
      await searches.add(tx, users);
      throw new Error("cannot");
    });
    await expect(failing).rejects.toThrow("cannot");
    await store(makeUsers(2), searches);
    await searches.settle(true);
    await expectWhole();
  });

  // From five hundred on in order.
  it.each([20, 1100])("is added by the next import where one was killed (%i people)", async (count) => {
    const [changed, gone, ...others] = makeUsers(count);
    if (changed === undefined || gone === undefined) throw new Error("nobody");
    await store([changed, gone, ...others], new PeopleSearches({ database, clock }));
    await database.transaction(async (tx) => {
      await updateUser(tx, changed, { ...changed, title: "Zoë" });
      await deleteUser(tx, gone.id);
    });
    const next = new PeopleSearches({ database, clock });
    await store(makeUsers(20), next);
    await next.settle(true);
    await expectWhole();
  });

  it("waits for others who keep the database longer than a transaction waits", async () => {
    let isBusy = false;
    const busy: Database = {
      ...{ dialect, isShared: false, reader: database.reader, close: async () => {} },
      afterCommit: (tx, hook) => database.afterCommit(tx, hook),
      async transaction(work) {
        isBusy = !isBusy;
        if (isBusy) throw new DomainError("UNAVAILABLE");
        return await database.transaction(work);
      },
    };
    const searches = new PeopleSearches({ database: busy, clock });
    await store(makeUsers(5), searches);
    await searches.settle(true);
    await expectWhole();
  });

  /** Ways in which somebody else may change a person, one after the other, as a server beside the import does. */
  async function* changeOn(users: readonly User[]): AsyncGenerator<void, void, void> {
    const server = await open(url);
    onTestFinished(() => server.close());
    const [serverFeed, now] = [new ChangeFeed({ database: server, clock, log: silentLog }), clock.now()];
    const ways: readonly ((tx: Tx, user: User) => Promise<unknown>)[] = [
      (tx, user) => updateUser(tx, user, { ...user, title: `Zoë ${user.title}`, name: `zoe-${user.id}` }),
      (tx, user) => deleteUser(tx, user.id),
      (tx, user) => updateUserState(tx, user.id, user.state === "enabled" ? "disabled" : "enabled", now),
    ];
    for (let at = 0; ; at++) {
      await server.transaction(async (tx) => {
        // Some of them twice.
        const user = await lockUser(tx, users[Math.floor((at * 3) / 4) % users.length]?.id ?? "");
        if (user === undefined) return;
        await ways[at % ways.length]?.(tx, user);
        await serverFeed.append(tx, { topic: "user", subject: user.id });
      });
      yield;
    }
  }

  it("is right for whom somebody changes, disables or deletes meanwhile", async () => {
    const users = makeUsers(40);
    const changes = changeOn(users);
    const beside: Database = {
      dialect,
      isShared: false,
      reader: database.reader,
      afterCommit: (tx, hook) => database.afterCommit(tx, hook),
      close: async () => {},
      async transaction(work) {
        await changes.next();
        return await database.transaction(work);
      },
    };
    const searches = new PeopleSearches({ database: beside, clock, entriesAtOnce: 20 });
    await store(users, searches);
    await searches.settle(true);
    const left = await database.reader.selectFrom("users").selectAll().execute();
    const counts = [left.length, left.filter(({ title }) => title.startsWith("Zoë")).length];
    expect(counts).not.toEqual([40, 0]);
    await expectWhole();
  });

  it.each([
    ["anything else had", 1],
    ["nothing ever had", 0],
  ])("is right where nobody can tell any more who has changed, before whom %s", async (_, before) => {
    const note = (tx: Tx, subject: string) => feed.append(tx, { topic: "user", subject });
    for (let at = 0; at < before; at++) await database.transaction((tx) => note(tx, randomUUID()));
    const [user, ...others] = makeUsers(5);
    if (user === undefined) throw new Error("nobody");
    const searches = new PeopleSearches({ database, clock });
    await store([user, ...others], searches);
    await database.transaction(async (tx) => {
      await updateUser(tx, user, { ...user, title: "Zoë" });
      await note(tx, user.id);
      await tx.deleteFrom("changes").execute();
      await note(tx, randomUUID());
    });
    await searches.settle(true);
    await expectWhole();
  });

  describe("for those who are left in the backlog", () => {
    /** As an import leaves them that is killed, or a copy of a database in which one was. */
    async function leave(users: readonly User[], at: Date): Promise<void> {
      await database.transaction(async (tx) => {
        await insertUsers(tx, users);
        await noteUnsearched(
          tx,
          users.map(({ id }) => ({ at: at.getTime(), id })),
        );
      });
    }
    const finish = (afterMs: number, limit: number) =>
      database.transaction((tx) => finishOldSearches(tx, new Date(started.getTime() + afterMs), limit));

    it("is added by a server ten minutes later, some at a time, as they are by then", async () => {
      const users = makeUsers(10);
      await leave(users, started);
      const [changed, gone] = users;
      if (changed === undefined || gone === undefined) throw new Error("nobody");
      await database.transaction(async (tx) => {
        await updateUser(tx, changed, { ...changed, title: "Zoë" });
        await deleteUser(tx, gone.id);
      });
      expect(await finish(599_999, 4)).toBe(0);
      expect([await finish(600_000, 4), await finish(600_000, 4), await finish(600_000, 4)]).toEqual([
        4, 4, 2,
      ]);
      await expectWhole();
      expect(await finish(600_000, 4)).toBe(0);
    });

    it("is added at once of a clock that ran ahead by more than clocks differ", async () => {
      await leave(makeUsers(3), new Date(started.getTime() + 5_000));
      expect(await finish(0, 4)).toBe(0);
      await leave(makeUsers(6), new Date(started.getTime() + 5_001));
      await leave(makeUsers(1), new Date(started.getTime() - 600_000));
      expect([await finish(0, 4), await finish(0, 4), await finish(0, 4)]).toEqual([4, 3, 0]);
      expect(await finish(605_000, 4)).toBe(3);
      await expectWhole();
    });

    it("is added once where two do it at the same time", async () => {
      await leave(makeUsers(60), started);
      const other = await open(url);
      onTestFinished(() => other.close());
      const work = async (one: Database) => {
        let all = 0;
        for (;;) {
          const done = await one.transaction((tx) => finishSearches(tx, started, 7));
          all += done;
          if (done === 0) return all;
        }
      };
      const done = await Promise.all([work(database), work(other)]);
      expect(done[0] + done[1]).toBe(60);
      await expectWhole();
    });
  });
});
