import { sql } from "kysely";
import { beforeEach, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import type { Tx } from "./database.ts";
import { removeOld, removeRows } from "./remove-rows.ts";

describeDatabases("rows that are removed some at a time", (under) => {
  beforeEach(() =>
    under.database.transaction(async (tx) => {
      await tx.deleteFrom("known_clients").execute();
      const values = [3, 1, 4, 1, 5].map((at, index) => ({
        block: `b${index % 2}`,
        client_id: `c${index}`,
        seen_at: at * 1000,
      }));
      await tx.insertInto("known_clients").values(values).execute();
    }),
  );

  const removeSeen = removeOld("known_clients", ["block", "client_id"], "seen_at", 500);
  const removeWaiting = (tx: Tx, atMs: number) =>
    removeRows(
      tx,
      {
        table: "known_clients",
        key: ["block", "client_id"],
        where: (eb) => eb("seen_at", "<=", atMs - 500),
      },
      100,
    );
  const remove = (atMs: number, limit: number) =>
    under.database.transaction((tx) => removeSeen(tx, new Date(atMs), limit));

  async function left(): Promise<string[]> {
    const rows = await under.database.reader.selectFrom("known_clients").selectAll().execute();
    return rows.map(({ block, client_id }) => `${block} ${client_id}`).toSorted();
  }

  it("go oldest first, as many as were asked for and no more, by the whole of their key", async () => {
    expect(await remove(10_000, 0)).toBe(0);
    expect(await remove(10_000, 2)).toBe(2);
    expect(await left()).toEqual(["b0 c0", "b0 c2", "b0 c4"]);
    expect(await remove(10_000, 100)).toBe(3);
    expect(await left()).toEqual([]);
  });

  it("have been kept as long as was asked for, to the millisecond", async () => {
    expect(await remove(3_499, 100)).toBe(2);
    expect(await left()).toEqual(["b0 c0", "b0 c2", "b0 c4"]);
    expect(await remove(3_500, 100)).toBe(1);
    expect(await left()).toEqual(["b0 c2", "b0 c4"]);
  });

  it("are those that a condition names", async () => {
    const removal = { table: "known_clients", key: ["block", "client_id"] } as const;
    const removed = await under.database.transaction((tx) =>
      removeRows(
        tx,
        { ...removal, where: ({ eb, or }) => or([eb("seen_at", "<", 2000), eb("seen_at", ">", 4000)]) },
        100,
      ),
    );
    expect(removed).toBe(3);
    expect(await left()).toEqual(["b0 c0", "b0 c2"]);
  });

  it("stay when they are used while they are being removed", async () => {
    const other = await under.openAnother();
    let removing: Promise<number> | undefined;
    await under.database.transaction(async (tx) => {
      await tx.updateTable("known_clients").set({ seen_at: 9_000 }).where("client_id", "=", "c1").execute();
      removing = other.transaction((theirs) => removeWaiting(theirs, 1_500));
      // On Postgres it has chosen the row by now and waits for it; on SQLite it waits with all it has to do.
      if (under.dialect === "postgres") {
        const isWaiting = sql<{ is: boolean }>`
          select exists (select from pg_locks where not granted) as is`;
        while (!(await isWaiting.execute(under.database.reader)).rows[0]?.is);
      }
    });
    expect(await removing).toBe(1);
    expect(await left()).toEqual(["b0 c0", "b0 c2", "b0 c4", "b1 c1"]);
  });

  it("are shared by sweeps of several processes", async () => {
    const other = await under.openAnother();
    let [mine, theirs] = [0, Promise.resolve(0)];
    await under.database.transaction(async (tx) => {
      mine = await removeSeen(tx, new Date(10_000), 2);
      theirs = other.transaction((held) => removeSeen(held, new Date(10_000), 2));
      // On Postgres it ends before this one does; on SQLite they take turns.
      if (under.dialect === "postgres") await theirs;
    });
    expect([mine, await theirs]).toEqual([2, 2]);
    expect(await left()).toEqual(["b0 c4"]);
  });
});
