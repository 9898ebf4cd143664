import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createEmptyDatabase } from "../../../test/parts/databases.ts";
import type { TestDatabase } from "../../../test/parts/postgres.ts";
import { silentLog } from "../lib/log.ts";
import { DatabaseRefusedError } from "./errors.ts";
import { isEmptyDatabase, migrate } from "./migrate.ts";
import { migrations } from "./migrations/index.ts";
import { openDatabase } from "./open-database.ts";

const names = migrations.map(({ name }) => name);

describe.each(["sqlite", "postgres"] as const)("migrate (%s)", (dialect) => {
  const places: TestDatabase[] = [];
  let url: string;

  async function emptyDatabase(): Promise<string> {
    const place = await createEmptyDatabase(dialect);
    places.push(place);
    return place.url;
  }

  beforeAll(async () => {
    url = await emptyDatabase();
  });

  afterAll(async () => {
    for (const place of places) await place.drop();
  });

  it("applies everything to an empty database, then nothing", async () => {
    const database = await openDatabase({ url, log: silentLog });
    expect(await isEmptyDatabase(database)).toBe(true);
    expect(await migrate(database)).toEqual({ applied: names });
    expect(await isEmptyDatabase(database)).toBe(false);
    expect(await migrate(database)).toEqual({ applied: [] });
    await database.close();
  });

  it("applies all of several or none", async () => {
    const database = await openDatabase({ url: await emptyDatabase(), log: silentLog });
    const failing = {
      name: "99991231T000000_failing",
      up: async () => {
        throw new Error("cannot");
      },
    };
    await expect(migrate(database, [...migrations, failing])).rejects.toThrow("cannot");
    expect(await isEmptyDatabase(database)).toBe(true);
    expect(await migrate(database)).toEqual({ applied: names });
    await database.close();
  });

  it("brings an older database up to date", async () => {
    const database = await openDatabase({ url: await emptyDatabase(), log: silentLog });
    await migrate(database);
    const next = {
      name: "99991231T000000_next",
      up: async (db: Parameters<(typeof migrations)[0]["up"]>[0]) => {
        await db.schema.createTable("later").addColumn("id", "text").execute();
      },
    };
    expect(await migrate(database, [...migrations, next])).toEqual({ applied: [next.name] });
    await sql`select * from later`.execute(database.reader);
    await database.close();
  });

  it("brings one up to date that lacks a migration in between", async () => {
    const database = await openDatabase({ url: await emptyDatabase(), log: silentLog });
    const [early = "", late = ""] = ["20261130T050600_last_backup", "20261130T053111_personal_tokens"];
    await migrate(
      database,
      migrations.filter(({ name }) => name !== early && name !== late),
    );
    expect(await migrate(database)).toEqual({ applied: [early, late] });
    await database.close();
  });

  it("refuses a database that a newer version has migrated, and leaves it alone", async () => {
    const database = await openDatabase({ url: await emptyDatabase(), log: silentLog });
    await migrate(database, [...migrations, { name: "99991231T000000_newer", up: async () => {} }]);
    const refusal = await migrate(database).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(DatabaseRefusedError);
    expect(String(refusal)).toContain("newer version of vestibule (it has 99991231T000000_newer");
    await database.close();
  });

  it("is applied once by processes that start together", async () => {
    const raced = await emptyDatabase();
    const script = `
      const { openDatabase } = await import(${JSON.stringify(import.meta.resolve("./open-database.ts"))});
      const { migrate } = await import(${JSON.stringify(import.meta.resolve("./migrate.ts"))});
      const { silentLog: log } = await import(${JSON.stringify(import.meta.resolve("../lib/log.ts"))});
      const database = await openDatabase({ url: ${JSON.stringify(raced)}, log });
      process.stdout.write(JSON.stringify((await migrate(database)).applied));
      await database.close();`;
    const applied = await Promise.all(
      [1, 2, 3].map(async () => {
        const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
          stdio: ["ignore", "pipe", "inherit"],
        });
        const [output, [code]] = await Promise.all([text(child.stdout), once(child, "exit")]);
        expect(code).toBe(0);
        return JSON.parse(output) as string[];
      }),
    );
    expect(applied.flat()).toEqual(names);
  });
});
