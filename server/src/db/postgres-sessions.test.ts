import { sql } from "kysely";
import pg from "pg";
import { afterEach, describe, expect, it } from "vitest";
import { eventually } from "../../../test/parts/eventually.ts";
import { createTestDatabase, type TestDatabase } from "../../../test/parts/postgres.ts";
import { startPostgres } from "../../../test/parts/postgres-server.ts";
import { type Relay, startRelay } from "../../../test/parts/relay.ts";
import { DomainError } from "../lib/errors.ts";
import { silentLog } from "../lib/log.ts";
import type { Database } from "./database.ts";
import { migrate } from "./migrate.ts";
import { type OpenDatabaseOptions, openDatabase } from "./open-database.ts";

const unavailable = { name: "DomainError", reason: "UNAVAILABLE" };
const takesNoWrites = { ...unavailable, detail: "database: the server takes no writes" };
const undone: (() => unknown)[] = [];

afterEach(async () => {
  for (const undo of undone.splice(0).toReversed()) await undo();
});

async function open(url: string, options: Partial<OpenDatabaseOptions> = {}) {
  const database = await openDatabase({ url, log: silentLog, ...options });
  undone.push(() => database.close());
  return database;
}

async function createDatabase(): Promise<TestDatabase> {
  const place = await createTestDatabase();
  undone.push(() => place.drop());
  return place;
}

async function createTables(url: string): Promise<void> {
  const database = await openDatabase({ url, log: silentLog });
  await migrate(database);
  await database.close();
}

async function createMigrated(): Promise<TestDatabase> {
  const place = await createDatabase();
  await createTables(place.url);
  return place;
}

/** Runs statements as the superuser, beside whatever is open. */
async function administer(url: string, ...statements: string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  for (const statement of statements) await client.query(statement);
  await client.end();
}

const nameOf = (url: string) => new URL(url).pathname.slice(1);

/** An address whose connections can be led elsewhere. */
async function createAddress(url: string): Promise<{ readonly url: string; readonly relay: Relay }> {
  const relay = await startRelay(Number(new URL(url).port));
  undone.push(() => relay.close());
  const moved = new URL(url);
  moved.port = String(relay.port);
  return { url: moved.href, relay };
}

const write = (database: Database, id: string) =>
  database.transaction((tx) => tx.insertInto("revoked_tokens").values({ jti: id, expires_at: 1 }).execute());

const pidOf = async (database: Database): Promise<number> =>
  (await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(database.reader)).rows[0]?.pid ?? 0;

/** The first address with the password of the second. */
function withPassword(url: string, other: string): string {
  return Object.assign(new URL(url), { password: new URL(other).password }).href;
}

async function countRows(url: string): Promise<number> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query("select jti from revoked_tokens");
  await client.end();
  return rows.length;
}

/** Sixteen that write without a pause, and how it ended for each write. */
function startWriters(database: Database) {
  const counts = { written: 0, refused: 0 };
  const others: unknown[] = [];
  let isOver = false;
  undone.push(() => {
    isOver = true;
  });
  const writers = Array.from({ length: 16 }, async (_, writer) => {
    for (let count = 0; !isOver; count++) {
      try {
        await write(database, `${writer} ${count}`);
        counts.written += 1;
      } catch (error) {
        if (error instanceof DomainError && error.reason === "UNAVAILABLE") counts.refused += 1;
        else others.push(error);
      }
    }
  });
  return {
    counts,
    async stop() {
      isOver = true;
      await Promise.all(writers);
      expect(others).toEqual([]);
    },
  };
}

describe("a Postgres that takes no writes any more, behind an address that leads to one that does", () => {
  it("is left for the other, under continuous traffic", async () => {
    const [former, next] = await Promise.all([startPostgres(), startPostgres()]);
    undone.push(() => Promise.all([former.stop(), next.stop()]));
    for (const { url } of [former, next]) await createTables(url);
    const { url, relay } = await createAddress(former.url);
    // The same role on both, as on a primary and its standby.
    await administer(next.url, `alter role postgres password '${new URL(url).password}'`);
    const database = await open(url);
    const { counts, stop } = startWriters(database);
    await eventually(() => expect(counts.written).toBeGreaterThan(50));

    await administer(
      former.url,
      "alter system set default_transaction_read_only = on",
      "select pg_reload_conf()",
    );
    await eventually(() => expect(counts.refused).toBeGreaterThan(0));
    relay.leadTo(Number(new URL(next.url).port));
    const { written } = counts;
    await eventually(() => expect(counts.written).toBeGreaterThan(written + 200));
    await stop();
    const { refused } = counts;
    for (let id = 0; id < 20; id++) await write(database, `after ${id}`);
    expect(counts.refused).toBe(refused);
    // Nothing that was acknowledged is missing: it is on the one or on the other.
    expect((await countRows(former.url)) + (await countRows(withPassword(next.url, url)))).toBe(
      counts.written + 20,
    );
  }, 60_000);

  it("is refused by what only reads, too, once it says so", async () => {
    const { url } = await createMigrated();
    const database = await open(url, { poolSize: 1 });
    const pid = await pidOf(database);
    await sql`set default_transaction_read_only = on`.execute(database.reader);
    expect(await pidOf(database)).not.toBe(pid);
  });

  it("is refused while it is all there is, and used again afterwards", async () => {
    const { url } = await createMigrated();
    const database = await open(url, { poolSize: 2 });
    await administer(url, `alter database ${nameOf(url)} set default_transaction_read_only = on`);
    const readOnly = database.transaction(async (tx) => {
      await sql`set transaction read only`.execute(tx);
      await tx.insertInto("revoked_tokens").values({ jti: "x", expires_at: 1 }).execute();
    });
    await expect(readOnly).rejects.toMatchObject({
      ...unavailable,
      detail: "database: the server takes no writes (25006)",
    });
    await expect(write(database, "meanwhile")).rejects.toMatchObject(takesNoWrites);
    await expect(pidOf(database)).rejects.toMatchObject(takesNoWrites);
    await expect(openDatabase({ url, log: silentLog })).rejects.toMatchObject(takesNoWrites);
    await administer(
      url,
      "begin read write",
      `alter database ${nameOf(url)} reset default_transaction_read_only`,
      "commit",
    );
    await eventually(() => write(database, "after"));
  });
});

describe("a session that is alive", () => {
  it.each([
    ["may not write any more", "set transaction read only", "insert into revoked_tokens values ('x', 1)"],
    ["does not find the tables", "set local search_path = pg_catalog", "select * from revoked_tokens"],
    ["lost what it had prepared", "select 1", "execute vanished"],
    [
      "has a stale plan",
      "prepare stale as select * from things",
      "alter table things add column b int",
      "execute stale",
    ],
  ])("and %s leaves the pool, with all that are as old", async (_, ...statements) => {
    const { url } = await createMigrated();
    await administer(url, "create table things (a int)");
    const database = await open(url, { poolSize: 2 });
    const [own, other] = await Promise.all([pidOf(database), pidOf(database)]);
    const failed = database.transaction(async (tx) => {
      for (const statement of statements) await sql.raw(statement).execute(tx);
    });
    await expect(failed).rejects.toMatchObject(unavailable);
    for (const pid of await Promise.all([pidOf(database), pidOf(database)])) {
      expect([own, other]).not.toContain(pid);
    }
  });

  it("and refused a statement for what it says stays", async () => {
    const { url } = await createMigrated();
    const database = await open(url, { poolSize: 1 });
    const pid = await pidOf(database);
    await expect(sql`select 1 / 0`.execute(database.reader)).rejects.toMatchObject({ code: "22012" });
    expect(await pidOf(database)).toBe(pid);
  });

  it("is ended when it has lived long enough, one earlier than the other", async () => {
    const { url } = await createMigrated();
    let nowMs = 0;
    const database = await open(url, { poolSize: 1, monotonicMs: () => nowMs });
    const pid = await pidOf(database);
    nowMs = 45 * 60_000 - 1;
    expect(await pidOf(database)).toBe(pid);
    nowMs = 60 * 60_000;
    expect(await pidOf(database)).not.toBe(pid);
  });
});

describe("new sessions that find other tables than the first did", () => {
  it("are refused", async () => {
    const { url } = await createMigrated();
    const database = await open(url, { poolSize: 1 });
    await pidOf(database);
    const role = decodeURIComponent(new URL(url).username);
    const set = (path: string) =>
      administer(url, `alter role ${role} in database ${nameOf(url)} set search_path = ${path}`);
    await administer(url, "create schema other", "create table other.vestibule_migrations ()");
    for (const path of ["other, public", "pg_catalog"]) {
      await set(path);
      await administer(
        url,
        `select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()`,
      );
      const detail = "database: the tables are not found by the search_path";
      await eventually(() => expect(pidOf(database)).rejects.toMatchObject({ ...unavailable, detail }));
    }
    await set("public");
    await eventually(() => pidOf(database));
  });
});

describe("what listens", () => {
  it("goes on with a new session when the old one is unfit or has lived long enough", async () => {
    const { url } = await createMigrated();
    const database = await open(url, { sessionLifetimeMs: 200 });
    let heard = 0;
    const end = database.listen("things", () => {
      heard += 1;
    });
    undone.push(end);
    // Once for each session that it begins.
    await eventually(() => expect(heard).toBeGreaterThan(2));
  });
});
