import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { type Kysely, sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { createEmptyDatabase } from "../../../test/parts/databases.ts";
import { eventually } from "../../../test/parts/eventually.ts";
import type { TestDatabase } from "../../../test/parts/postgres.ts";
import { silentLog } from "../lib/log.ts";
import { isAtLeast, version } from "../lib/version.ts";
import { DatabaseRefusedError } from "./errors.ts";
import type { OpenDatabase } from "./kysely-database.ts";
import { findAppliedNames, findOldestBeside, getSchemaState, isEmptyDatabase, migrate } from "./migrate.ts";
import { migrations } from "./migrations/index.ts";
import { openDatabase } from "./open-database.ts";
import type { Schema } from "./schema.ts";

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
    expect(await migrate(database)).toEqual({ applied: names, newer: [] });
    expect(await isEmptyDatabase(database)).toBe(false);
    expect(await migrate(database)).toEqual({ applied: [], newer: [] });
    await database.close();
  });

  it("applies all of several or none", async () => {
    const database = await openDatabase({ url: await emptyDatabase(), log: silentLog });
    const failing = {
      name: "99991231T000000_failing",
      beside: null,
      up: async () => {
        throw new Error("cannot");
      },
    };
    await expect(migrate(database, [...migrations, failing])).rejects.toThrow("cannot");
    expect(await isEmptyDatabase(database)).toBe(true);
    expect(await migrate(database)).toEqual({ applied: names, newer: [] });
    await database.close();
  });

  it("brings an older database up to date", async () => {
    const database = await openDatabase({ url: await emptyDatabase(), log: silentLog });
    await migrate(database);
    const next = {
      name: "99991231T000000_next",
      beside: null,
      up: async (db: Parameters<(typeof migrations)[0]["up"]>[0]) => {
        await db.schema.createTable("later").addColumn("id", "text").execute();
      },
    };
    expect(await migrate(database, [...migrations, next])).toEqual({ applied: [next.name], newer: [] });
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
    expect(await migrate(database)).toEqual({ applied: [early, late], newer: [] });
    await database.close();
  });

  /** Migrates by a program of tomorrow, beside whose migrations those may serve. */
  async function migrateByNewer(database: OpenDatabase, ...besides: readonly (string | null)[]) {
    const newer = besides.map((beside, index) => ({
      name: `99991231T00000${index}_newer`,
      beside,
      up: async () => {},
    }));
    await migrate(database, [...migrations, ...newer]);
    return newer.map(({ name }) => name);
  }

  it.each([
    ["the oldest that may serve", ["0.2.0"], "0.2.0"],
    ["a later one", ["0.2.0"], "0.3.1"],
    ["one that all of several take", ["0.2.0", "0.3.0", "0.1.0"], "0.3.0"],
  ])("lets an older program work beside newer migrations: %s", async (_, besides, version) => {
    const database = await openDatabase({ url: await emptyDatabase(), log: silentLog });
    const newer = await migrateByNewer(database, ...besides);
    expect(await migrate(database, migrations, version)).toEqual({ applied: [], newer });
    expect(await getSchemaState(database.reader, migrations, version)).toEqual({
      isEmpty: false,
      pending: [],
      newer,
    });
    expect(await findAppliedNames(database.reader)).toEqual([...names, ...newer]);
    await database.close();
  });

  it.each([
    ["beside which none may serve", [null], "9.0.0", "or a later one, or restore"],
    ["and is too old", ["0.3.0"], "0.2.9", "or a later one, or 0.3.0 or a later one"],
    ["and is a pre-release of the oldest", ["0.3.0"], "0.3.0-rc.1", "or 0.3.0 or a later one"],
    ["and is too old for one of several", ["0.2.0", "0.3.0"], "0.2.0", "or 0.3.0 or a later one"],
    ["of which one takes none", ["0.2.0", null], "0.2.0", "or a later one, or restore"],
    ["whose rule makes no sense", ["0.2"], "0.2.0", "newer version of vestibule"],
  ])(
    "refuses a database that a newer version has migrated, %s, and leaves it alone",
    async (_, besides, version, text) => {
      const database = await openDatabase({ url: await emptyDatabase(), log: silentLog });
      const newer = await migrateByNewer(database, ...besides);
      const refusals = await Promise.allSettled([
        migrate(database, migrations, version),
        getSchemaState(database.reader, migrations, version),
      ]);
      for (const refusal of refusals) {
        const { reason } = refusal as PromiseRejectedResult;
        expect(reason).toBeInstanceOf(DatabaseRefusedError);
        expect(String(reason)).toMatch(/newer version of vestibule \(it has 99991231T00000\d_newer/);
        expect(String(reason)).toContain(text);
      }
      expect(await findAppliedNames(database.reader)).toEqual([...names, ...newer]);
      await database.close();
    },
  );

  it("refuses a database that is ahead and behind, whatever may serve beside it", async () => {
    const database = await openDatabase({ url: await emptyDatabase(), log: silentLog });
    await migrateByNewer(database, "0.2.0");
    const own = { name: "99991230T000000_mended", beside: "0.1.0", up: async () => {} };
    await expect(migrate(database, [...migrations, own], "0.2.1")).rejects.toThrow(
      "it has 99991231T000000_newer, unknown here, and lacks 99991230T000000_mended",
    );
    await database.close();
  });

  it("refuses a newer database from before there were rules", async () => {
    const database = await openDatabase({ url: await emptyDatabase(), log: silentLog });
    const before = migrations.filter(({ name }) => !name.endsWith("_oldest_programs"));
    await migrate(database, before);
    await expect(migrate(database, before.slice(0, -1), "9.0.0")).rejects.toThrow("newer version");
    // Those that were there get theirs as soon as there are any.
    await migrate(database);
    const { rows } =
      await sql`select name, beside from vestibule_migrations where beside is not null order by name`.execute(
        database.reader,
      );
    expect(rows).toEqual(
      migrations.filter(({ beside }) => beside !== null).map(({ name, beside }) => ({ name, beside })),
    );
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

it("each migration says which older program may serve beside it, and is named in the order of time", () => {
  for (const { name, beside } of migrations) {
    expect(name).toMatch(/^\d{8}T\d{6}_[a-z_]+$/);
    // One of this version knows it.
    if (beside !== null)
      expect([isAtLeast(version, beside), version]).toEqual([true, expect.not.stringMatching(beside)]);
  }
  expect(names.toSorted()).toEqual(names);
  expect(new Set(names).size).toBe(names.length);
});

it("the oldest program that may serve is the latest that one of several names", () => {
  const find = (...besides: readonly (string | null)[]) =>
    findOldestBeside(besides.map((beside) => ({ beside })));
  expect(find("0.2.0")).toBe("0.2.0");
  expect(find("0.9.0", "0.10.0", "0.2.0")).toBe("0.10.0");
  expect(find(null)).toBeNull();
  expect(find("0.2.0", null, "0.3.0")).toBeNull();
});

it("a migration on Postgres keeps nobody waiting while it waits for a table", async () => {
  const place = await createEmptyDatabase("postgres");
  onTestFinished(() => place.drop());
  const [database, other] = [
    await openDatabase({ url: place.url, log: silentLog, idleTransactionMs: 0 }),
    await openDatabase({ url: place.url, log: silentLog }),
  ];
  await migrate(database);
  const end = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  // As a backup reads: until it is done nobody may change the table.
  const holding = database.transaction(async (tx) => {
    await tx.selectFrom("users").select("id").execute();
    begun.resolve();
    await end.promise;
  });
  await begun.promise;
  const change = {
    name: "99991231T000000_change",
    beside: null,
    up: async (db: Kysely<Schema>) => db.schema.alterTable("users").addColumn("later", "text").execute(),
  };
  const migrating = migrate(other, [...migrations, change]);
  const waiting = sql`select from pg_locks where relation = 'users'::regclass and not granted`;
  await eventually(async () => expect((await waiting.execute(database.reader)).rows).not.toEqual([]));
  expect(await database.reader.selectFrom("users").select("id").execute()).toEqual([]);
  end.resolve();
  await holding;
  expect(await migrating).toEqual({ applied: [change.name], newer: [] });
  await Promise.all([database.close(), other.close()]);
});
