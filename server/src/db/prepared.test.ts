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

  it("refuse to run without a value", async () => {
    const missing = { title: "x" } as { title: string; limit: number };
    await expect(listByTitle.all(under.database.reader, missing)).rejects.toThrow("no value for limit");
  });
});
