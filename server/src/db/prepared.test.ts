import { sql } from "kysely";
import { expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { prepared } from "./prepared.ts";

const insertOrganization = prepared((database, { id, title }: { id: string; title: string }) =>
  database.insertInto("organizations").values({
    id,
    name: id,
    title,
    metadata: "{}",
    avatar: "",
    state: "enabled",
    created_at: 1,
    updated_at: 1,
  }),
);

const listByTitle = prepared((database, { title, limit }: { title: string; limit: number }) =>
  database
    .selectFrom("organizations")
    .select(["id", "title"])
    .where("title", "=", title)
    .orderBy("id")
    .limit(limit),
);

const moveUpdate = prepared((database, { title, updatedAt }: { title: string; updatedAt: number }) =>
  database.updateTable("organizations").set({ updated_at: updatedAt }).where("title", "=", title),
);

const insertTwo = prepared((database, values: readonly (string | number)[]) =>
  database.insertInto("organizations").values(
    [0, 3].map((first) => ({
      id: values[first] as string,
      name: sql.lit(`list-${first}`),
      title: values[first + 1] as string,
      metadata: sql.lit("{}"),
      avatar: sql.lit(""),
      state: sql.lit("enabled" as const),
      created_at: values[first + 2] as number,
      updated_at: sql.lit(1),
    })),
  ),
);

describeDatabases("prepared statements", (under) => {
  it("run with their parameters, inside a transaction and outside", async () => {
    const title = "prepared";
    await under.database.transaction(async (tx) => {
      for (const id of ["p1", "p2", "p3"]) expect(await insertOrganization.run(tx, { id, title })).toBe(1);
      expect(await listByTitle.all(tx, { title, limit: 2 })).toEqual([
        { id: "p1", title },
        { id: "p2", title },
      ]);
    });
    expect(await listByTitle.first(under.database.reader, { title, limit: 1 })).toEqual({ id: "p1", title });
    expect(await listByTitle.first(under.database.reader, { title: "none", limit: 1 })).toBeUndefined();
    expect(await under.database.transaction((tx) => moveUpdate.run(tx, { title, updatedAt: 2 }))).toBe(3);
  });

  it("take a value as a value, whatever is written in it", async () => {
    const title = "'; drop table organizations; --";
    await under.database.transaction((tx) => insertOrganization.run(tx, { id: "quoted", title }));
    expect(await listByTitle.all(under.database.reader, { title, limit: 5 })).toEqual([
      { id: "quoted", title },
    ]);
  });

  it("take many values as a list, in order", async () => {
    const rows = ["l1", "list", 3, "l2", "list", 4];
    expect(await under.database.transaction((tx) => insertTwo.run(tx, rows))).toBe(2);
    expect(await listByTitle.all(under.database.reader, { title: "list", limit: 5 })).toEqual([
      { id: "l1", title: "list" },
      { id: "l2", title: "list" },
    ]);
  });

  it.each([
    ["one too few", ["l3", "list", 3, "l4", "list"]],
    ["one too many", ["l3", "list", 3, "l4", "list", 4, 5]],
    ["one missing", ["l3", "list", 3, "l4", undefined as unknown as string, 4]],
  ])("refuse a list with %s", async (_, rows) => {
    const running = under.database.transaction((tx) => insertTwo.run(tx, rows));
    await expect(running).rejects.toThrow("6 values are needed");
    expect(await listByTitle.all(under.database.reader, { title: "list", limit: 5 })).toHaveLength(2);
  });

  it("refuse to run without a value", async () => {
    const missing = { title: "x" } as { title: string; limit: number };
    await expect(listByTitle.all(under.database.reader, missing)).rejects.toThrow("no value for limit");
  });
});
