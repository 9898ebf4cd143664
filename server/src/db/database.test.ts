import { sql } from "kysely";
import { expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { DomainError } from "../lib/errors.ts";
import type { Database, Tx } from "./database.ts";
import { forUpdate } from "./dialect.ts";
import { isUniqueViolation } from "./errors.ts";

let made = 0;

function organization(id = `org-${made++}`) {
  const created_at = 1_790_000_000_123;
  const row = { id, name: id, title: "", metadata: "{}", avatar: "", state: "enabled" as const };
  return { ...row, created_at, updated_at: created_at };
}

async function insert(tx: Tx, row = organization()): Promise<string> {
  await tx.insertInto("organizations").values(row).execute();
  return row.id;
}

async function exists(database: Database, id: string): Promise<boolean> {
  const row = await database.reader
    .selectFrom("organizations")
    .select("id")
    .where("id", "=", id)
    .executeTakeFirst();
  return row !== undefined;
}

/** A promise and the key to it. */
function gate(): { opened: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}

describeDatabases("database", (under) => {
  it("keeps everything a transaction wrote once it has resolved", async () => {
    const ids = await under.database.transaction(async (tx) => [await insert(tx), await insert(tx)]);
    for (const id of ids) expect(await exists(under.database, id)).toBe(true);
  });

  it("keeps nothing of a transaction whose work throws, and passes the error on", async () => {
    const row = organization();
    const refusal = new DomainError("NOT_AUTHORIZED");
    const work = under.database.transaction(async (tx) => {
      await insert(tx, row);
      throw refusal;
    });
    await expect(work).rejects.toBe(refusal);
    expect(await exists(under.database, row.id)).toBe(false);
  });

  it("lets one of many concurrent transactions fail without the others", async () => {
    const rows = Array.from({ length: 20 }, () => organization());
    const results = await Promise.allSettled(
      rows.map((row, index) =>
        under.database.transaction(async (tx) => {
          await insert(tx, row);
          if (index % 3 === 0) throw new Error("refused");
        }),
      ),
    );
    for (const [index, row] of rows.entries()) {
      expect(results[index]?.status).toBe(index % 3 === 0 ? "rejected" : "fulfilled");
      expect(await exists(under.database, row.id)).toBe(index % 3 !== 0);
    }
  });

  it("counts every one of concurrent read-and-increment transactions", async () => {
    const id = await under.database.transaction((tx) => insert(tx));
    const increment = async (tx: Tx) => {
      const { updated_at } = await tx
        .selectFrom("organizations")
        .select("updated_at")
        .where("id", "=", id)
        .$call(forUpdate(tx))
        .executeTakeFirstOrThrow();
      await tx
        .updateTable("organizations")
        .set({ updated_at: updated_at + 1 })
        .where("id", "=", id)
        .execute();
    };
    const before = organization().updated_at;
    await Promise.all(Array.from({ length: 50 }, () => under.database.transaction(increment)));
    const row = under.database.reader.selectFrom("organizations").select("updated_at").where("id", "=", id);
    expect(await row.executeTakeFirstOrThrow()).toEqual({ updated_at: before + 50 });
  });

  it("shows readers committed rows only", async () => {
    const written = gate();
    const checked = gate();
    const row = organization();
    const work = under.database.transaction(async (tx) => {
      await insert(tx, row);
      written.open();
      await checked.opened;
    });
    await written.opened;
    expect(await exists(under.database, row.id)).toBe(false);
    checked.open();
    await work;
    expect(await exists(under.database, row.id)).toBe(true);
  });

  it("stores instants as numbers, and a boundary row as it was", async () => {
    const row = { ...organization(), created_at: Number.MAX_SAFE_INTEGER, title: "Zoë's \u{1f511}" };
    await under.database.transaction((tx) => insert(tx, row));
    const found = under.database.reader.selectFrom("organizations").selectAll().where("id", "=", row.id);
    expect(await found.executeTakeFirstOrThrow()).toMatchObject(row);
  });

  it("tells a broken unique index from other errors", async () => {
    const id = await under.database.transaction((tx) => insert(tx));
    const again = under.database.transaction((tx) => insert(tx, organization(id)));
    await expect(again).rejects.toSatisfy(isUniqueViolation);
    const sameName = under.database.transaction((tx) => insert(tx, { ...organization(), name: id }));
    await expect(sameName).rejects.toSatisfy(isUniqueViolation);
    const broken = under.database.transaction((tx) => sql`select nothing from nowhere`.execute(tx));
    await expect(broken).rejects.toSatisfy((error) => !isUniqueViolation(error));
  });

  it("refuses a row whose parent is missing, and removes children with their parent", async () => {
    const org_id = await under.database.transaction((tx) => insert(tx));
    const user = { id: `su-${org_id}`, org_id, title: "", metadata: "{}", role: "viewer" as const };
    const times = { created_at: 1, updated_at: 1, last_used_at: null };
    const secret = {
      id: `secret-${org_id}`,
      service_user_id: user.id,
      kind: "secret" as const,
      title: "",
      secret_hash: "",
      public_jwk: null,
      bootstrap: 0 as const,
    };
    const secretRow = { ...secret, created_at: 1, expires_at: null, last_used_at: null };
    const orphan = under.database.transaction((tx) =>
      tx.insertInto("service_user_credentials").values(secretRow).execute(),
    );
    await expect(orphan).rejects.toMatchObject({ reason: "UNAVAILABLE" });
    await under.database.transaction(async (tx) => {
      await tx
        .insertInto("service_users")
        .values({ ...user, ...times, state: "enabled", superuser: 0 })
        .execute();
      await tx.insertInto("service_user_credentials").values(secretRow).execute();
      await tx.deleteFrom("service_users").where("id", "=", user.id).execute();
    });
    const left = under.database.reader
      .selectFrom("service_user_credentials")
      .selectAll()
      .where("id", "=", secret.id);
    expect(await left.execute()).toEqual([]);
  });

  it("does not let a transaction go on after an error it swallowed", async () => {
    const id = await under.database.transaction((tx) => insert(tx));
    const row = organization();
    const work = under.database.transaction(async (tx) => {
      await insert(tx, row);
      await insert(tx, organization(id)).catch(() => {});
    });
    await expect(work).rejects.toThrow("its error was dropped");
    expect(await exists(under.database, row.id)).toBe(false);
  });

  it("runs hooks after the commit and before the answer, in order", async () => {
    const seen: string[] = [];
    await under.database.transaction(async (tx) => {
      under.database.afterCommit(tx, () => seen.push("first"));
      under.database.afterCommit(tx, () => seen.push("second"));
      await insert(tx);
      seen.push("work");
    });
    expect(seen).toEqual(["work", "first", "second"]);
  });

  it("runs no hook when the transaction fails, and survives one that throws", async () => {
    let runs = 0;
    const failing = under.database.transaction(async (tx) => {
      under.database.afterCommit(tx, () => runs++);
      throw new Error("no");
    });
    await expect(failing).rejects.toThrow("no");
    expect(runs).toBe(0);
    const throwing = under.database.transaction(async (tx) => {
      under.database.afterCommit(tx, () => {
        throw new Error("a hook's own fault");
      });
      under.database.afterCommit(tx, () => runs++);
      return "committed";
    });
    expect(await throwing).toBe("committed");
    expect(runs).toBe(1);
  });

  it("refuses a transaction inside a transaction", async () => {
    const nested = under.database.transaction(() => under.database.transaction(async () => {}));
    await expect(nested).rejects.toThrow("already in progress");
    await expect(under.database.transaction((tx) => insert(tx))).resolves.toBeTypeOf("string");
  });

  it("refuses a handle kept beyond its transaction", async () => {
    let leaked: Tx | undefined;
    await under.database.transaction(async (tx) => {
      leaked = tx;
    });
    const kept = leaked as unknown as Tx;
    await expect(insert(kept)).rejects.toThrow();
    expect(() => under.database.afterCommit(kept, () => {})).toThrow("in progress");
  });

  it("commits a single write outside a transaction", async () => {
    const row = organization();
    await under.database.reader.insertInto("organizations").values(row).execute();
    expect(await exists(under.database, row.id)).toBe(true);
    const result = await under.database.reader
      .deleteFrom("organizations")
      .where("id", "=", row.id)
      .executeTakeFirst();
    expect(result.numDeletedRows).toBe(1n);
  });

  it("refuses work once it is closed", async () => {
    const other = await under.openAnother();
    await other.close();
    await expect(other.transaction((tx) => insert(tx))).rejects.toThrow();
    await expect(exists(other, "x")).rejects.toThrow();
  });
});
