/** One Postgres for several: what others keep in it is not taken for ours, nor ours for theirs. */
import { randomBytes } from "node:crypto";
import { sql } from "kysely";
import pg from "pg";
import { afterEach, describe, expect, it } from "vitest";
import { createEmptyDatabase } from "../../../test/parts/databases.ts";
import { readBlocks } from "../../../test/parts/documentation.ts";
import { createTestDatabase } from "../../../test/parts/postgres.ts";
import { silentLog } from "../lib/log.ts";
import type { OpenDatabase } from "./kysely-database.ts";
import { getSchemaState, migrate, refuseNoRoom } from "./migrate.ts";
import { migrations } from "./migrations/index.ts";
import { openDatabase } from "./open-database.ts";

const undone: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const undo of undone.splice(0).toReversed()) await undo();
});

/** Runs statements as the superuser. */
async function administer(url: string, ...statements: string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  for (const statement of statements) await client.query(statement);
  await client.end();
}

async function createShared(...statements: string[]): Promise<string> {
  const { url, drop } = await createTestDatabase();
  undone.push(drop);
  await administer(url, ...statements);
  return url;
}

async function open(url: string, searchPath?: string): Promise<OpenDatabase> {
  const address = new URL(url);
  if (searchPath !== undefined) address.searchParams.set("options", `-c search_path=${searchPath}`);
  const database = await openDatabase({ url: address.href, log: silentLog });
  undone.push(() => database.close());
  return database;
}

const applied = { applied: migrations.map(({ name }) => name), newer: [] };
const write = (database: OpenDatabase, jti: string) =>
  database.transaction((tx) => tx.insertInto("revoked_tokens").values({ jti, expires_at: 1 }).execute());
const list = async (database: OpenDatabase) =>
  (await database.reader.selectFrom("revoked_tokens").select("jti").execute()).map(({ jti }) => jti);
const schemaOf = async (database: OpenDatabase) =>
  (await sql<{ name: string }>`select current_schema() as name`.execute(database.reader)).rows[0]?.name;

describe("a shared Postgres", () => {
  it("may have another program's migrations", async () => {
    const url = await createShared(
      "create table schema_migrations (version text primary key)",
      "create table schema_migrations_lock (locked boolean)",
      "insert into schema_migrations values ('20200101000000')",
    );
    const database = await open(url);
    expect(await migrate(database)).toEqual(applied);
    expect(await migrate(database)).toEqual({ applied: [], newer: [] });
    await write(database, "a");
  });

  it.each([
    ["beside each other", "one", "two"],
    ["one before the other", "public", "two,public"],
  ])("keeps two of us apart, a schema each: %s", async (_name, first, second) => {
    const url = await createShared("create schema one", "create schema two");
    const one = await open(url, first);
    expect(await migrate(one)).toEqual(applied);
    await write(one, "of one");
    const two = await open(url, second);
    expect(await getSchemaState(two.reader)).toMatchObject({ isEmpty: true, pending: migrations });
    expect(await migrate(two)).toEqual(applied);
    await write(two, "of two");
    expect([await list(one), await list(two)]).toEqual([["of one"], ["of two"]]);
    expect([await schemaOf(one), await schemaOf(two)]).toEqual([first, "two"]);
    // New sessions find the same tables, and those of the other are none.
    const again = await open(url, second);
    expect([await migrate(again), await list(again)]).toEqual([{ applied: [], newer: [] }, ["of two"]]);
  });

  it("is set up by the statements of docs/postgres.md", async () => {
    const [statements = ""] = readBlocks("docs/postgres.md", "sql");
    const role = `vestibule_${randomBytes(4).toString("hex")}`;
    const url = await createShared();
    const database = new URL(url).pathname.slice(1);
    const toOwn = (text: string) =>
      text
        .replaceAll(/\bdatabase shared\b/g, `database ${database}`)
        .replaceAll(/\b(role|authorization) vestibule\b/g, `$1 ${role}`);
    await administer(url, toOwn(statements));
    undone.push(() => administer(url, `drop owned by ${role}`, `drop role ${role}`));
    const address = new URL(url);
    [address.username, address.password] = [role, "password"];
    const own = await open(address.href);
    expect(await migrate(own)).toEqual(applied);
    expect(await schemaOf(own)).toBe("vestibule");
    await own.close();
  });

  it("is refused in words where the search_path leads nowhere", async () => {
    const database = await open(await createShared(), "nowhere");
    await expect(migrate(database)).rejects.toMatchObject({
      name: "DatabaseRefusedError",
      message: expect.stringMatching(/no schema for the tables: none of the search_path \(nowhere\) exists/),
    });
  });

  it("is refused in words, and untouched, where the role may make no tables, or use those that are there", async () => {
    const name = `vestibule-${randomBytes(4).toString("hex")}`;
    const role = `"${name}"`;
    const url = await createShared(
      `create role ${role} login password 'password'`,
      "revoke create on schema public from public",
    );
    undone.push(() => administer(url, `drop owned by ${role}`, `drop role ${role}`));
    const address = new URL(url);
    [address.username, address.password] = [name, "password"];
    const database = await open(address.href);
    const refusal = {
      name: "DatabaseRefusedError",
      message: expect.stringContaining(
        `the role ${role} may make no tables in the schema public: let it (grant create on schema public to ${role})`,
      ),
    };
    await expect(migrate(database)).rejects.toMatchObject(refusal);
    await expect(refuseNoRoom(database.reader)).rejects.toMatchObject(refusal);
    await administer(url, `grant create on schema public to ${role}`);
    expect(await migrate(database)).toEqual(applied);
    await administer(url, `reassign owned by ${role} to current_user`);
    await expect(write(database, "a")).rejects.toMatchObject({
      reason: "UNAVAILABLE",
      detail: "database: permission denied for table revoked_tokens (42501)",
    });
    await database.close();
  });
});

const others = [
  ["a table", "create table users (name text)"],
  ["a view", "create view users as select 1 as name"],
  ["an index of a table's name", "create table others (name text); create index users on others (name)"],
  [
    "an index of an index's name",
    "create table others (name text); create index users_disabled on others (name)",
  ],
] as const;

describe.each(["sqlite", "postgres"] as const)("another program's tables (%s)", (dialect) => {
  it.each(others)("are not written to: %s", async (_, statements) => {
    const place = await createEmptyDatabase(dialect);
    undone.push(() => place.drop());
    const database = await open(place.url);
    await database.transaction(async (tx) => {
      for (const statement of statements.split("; ")) await sql.raw(statement).execute(tx);
    });
    await expect(migrate(database)).rejects.toMatchObject({
      name: "DatabaseRefusedError",
      message: expect.stringMatching(/tables of another program \(.*users.*\): give vestibule a database/),
    });
    expect(await getSchemaState(database.reader)).toMatchObject({ pending: migrations });
  });
});
