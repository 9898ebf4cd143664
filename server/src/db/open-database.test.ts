import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { createTestDatabase } from "../../../test/parts/postgres.ts";
import { silentLog } from "../lib/log.ts";
import type { Reader } from "./database.ts";
import { DatabaseRefusedError, isUniqueViolation, toUnavailable } from "./errors.ts";
import { migrate } from "./migrate.ts";
import { openDatabase, sqlitePath } from "./open-database.ts";
import { acquireServerLock } from "./server-lock.ts";

const unavailable = { name: "DomainError", reason: "UNAVAILABLE" };

describe("addresses", () => {
  it.each([
    ["sqlite:data/vestibule.db", "data/vestibule.db"],
    ["sqlite:./x", "./x"],
    ["sqlite:/srv/x.db", "/srv/x.db"],
    ["sqlite:///srv/x.db", "/srv/x.db"],
  ])("takes %s", (url, path) => {
    expect(sqlitePath(url)).toBe(path);
  });

  it.each([
    "sqlite:",
    "sqlite::memory:",
    "sqlite:file:x?mode=memory",
    "sqlite://host/x",
    "x.db",
    "mysql://h/d",
    "",
  ])("refuses %j", async (url) => {
    await expect(openDatabase({ url, log: silentLog })).rejects.toBeInstanceOf(DatabaseRefusedError);
  });
});

it.each(["sqlite:/dev/null/vestibule.db", "sqlite:/proc/vestibule.db"])(
  "refuses %s, which cannot be written, in one line",
  async (url) => {
    const path = url.slice("sqlite:".length);
    await expect(openDatabase({ url, log: silentLog })).rejects.toMatchObject({
      name: "DatabaseRefusedError",
      message: expect.stringMatching(new RegExp(`^${path}: cannot be written, got E[A-Z]+$`)),
    });
    expect(() => acquireServerLock(url)).toThrow(DatabaseRefusedError);
  },
);

it("refuses a folder in the file's place, and leaves it open to whom it was", async () => {
  const folder = mkdtempSync(join(tmpdir(), "vestibule-folder-"));
  chmodSync(folder, 0o755);
  await expect(openDatabase({ url: `sqlite:${folder}`, log: silentLog })).rejects.toMatchObject({
    name: "DatabaseRefusedError",
    message: `${folder}: must be a file`,
  });
  expect(statSync(folder).mode & 0o777).toBe(0o755);
  rmSync(folder, { recursive: true });
});

describe("errors", () => {
  const withCode = (code: string, message = "no") => Object.assign(new Error(message), { code });

  it.each([
    "SQLITE_BUSY",
    "SQLITE_BUSY_SNAPSHOT",
    "SQLITE_FULL",
    "SQLITE_IOERR_WRITE",
    "SQLITE_READONLY",
    "SQLITE_CONSTRAINT_FOREIGNKEY",
    "23503",
    "ECONNREFUSED",
    "ECONNRESET",
    "EPIPE",
    "08006",
    "40P01",
    "53100",
    "53300",
    "57014",
    "57P01",
    "58030",
    "42501",
  ])("calls %s unavailable, with the cause kept for the log", (code) => {
    const cause = withCode(code);
    expect(toUnavailable(cause)).toMatchObject({ ...unavailable, cause });
  });

  it.each([
    "Connection terminated unexpectedly",
    "timeout exceeded when trying to connect",
    "Query read timeout",
  ])("calls %j unavailable", (message) => {
    expect(toUnavailable(new Error(message))).toMatchObject(unavailable);
  });

  it.each(["SQLITE_CONSTRAINT_UNIQUE", "SQLITE_BUSYBODY", "23505", "42601", "ERR_INVALID_ARG_TYPE"])(
    "leaves %s as it is",
    (code) => {
      const error = withCode(code);
      expect(toUnavailable(error)).toBe(error);
    },
  );

  it("knows a unique violation by its code alone", () => {
    for (const code of ["SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "23505"]) {
      expect(isUniqueViolation(withCode(code))).toBe(true);
    }
    for (const other of [
      withCode("23503"),
      withCode("SQLITE_CONSTRAINT_FOREIGNKEY"),
      "23505",
      null,
      undefined,
    ]) {
      expect(isUniqueViolation(other)).toBe(false);
    }
  });
});

describe("opening", () => {
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "vestibule-open-"));
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("makes a missing folder for its owner alone, and tightens a file that was open to others", async () => {
    const loose = join(folder, "loose.db");
    writeFileSync(loose, "", { mode: 0o644 });
    for (const path of [join(folder, "new", "x.db"), loose]) {
      await (await openDatabase({ url: `sqlite:${path}`, log: silentLog })).close();
      expect(statSync(path).mode & 0o777).toBe(0o600);
    }
    expect(statSync(join(folder, "new")).mode & 0o777).toBe(0o700);
  });

  it("answers UNAVAILABLE for a file that is no database", async () => {
    const path = join(folder, "text.db");
    writeFileSync(path, "this is no database, however long you look at it".repeat(40));
    await expect(openDatabase({ url: `sqlite:${path}`, log: silentLog })).rejects.toMatchObject(unavailable);
  });

  it("answers UNAVAILABLE for a Postgres that is not there", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    server.close();
    await once(server, "close");
    const opening = openDatabase({ url: `postgres://u:p@127.0.0.1:${port}/d`, log: silentLog });
    await expect(opening).rejects.toMatchObject(unavailable);
  });
});

describe("a Postgres that does not let us in", () => {
  it.each([
    ["for a wrong password", { password: "wrong" }, "the user or the password is wrong (28P01)"],
    ["for a database that it has not", { pathname: "/none" }, "it has no database of that name (3D000)"],
    [
      "because it speaks no TLS",
      { search: "?sslmode=verify-full" },
      "The server does not support SSL connections",
    ],
  ])("says why: %s", async (_, part, detail) => {
    const { url, drop } = await createTestDatabase();
    const opening = openDatabase({ url: Object.assign(new URL(url), part).href, log: silentLog });
    await expect(opening).rejects.toMatchObject({ ...unavailable, detail: `database: ${detail}` });
    await drop();
  });
});

describeDatabases("losing the database", (under) => {
  it(
    under.dialect === "postgres"
      ? "is UNAVAILABLE, then works with a new connection"
      : "is UNAVAILABLE on a locked file",
    async () => {
      const other = await under.openAnother({ poolSize: 1 });
      if (under.dialect === "sqlite") {
        // Nothing else may write while this one is open.
        await under.database.transaction(async () => {
          await expect(other.transaction((tx) => sql`select 1`.execute(tx))).rejects.toMatchObject(
            unavailable,
          );
        });
      } else {
        const lost = other.transaction(async (tx) => {
          const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(tx);
          await sql`select pg_terminate_backend(${rows[0]?.pid})`.execute(under.database.reader);
          await sql`select 1`.execute(tx);
        });
        await expect(lost).rejects.toMatchObject(unavailable);
      }
      const { rows } = await other.transaction((tx) => sql`select 1 as one`.execute(tx));
      expect(rows).toEqual([{ one: 1 }]);
    },
  );
});

describe("a Postgres that a transaction has left alone", () => {
  it("ends it, so that others get at its rows", async () => {
    const { url, drop } = await createTestDatabase();
    const database = await openDatabase({ url, log: silentLog, idleTransactionMs: 200 });
    await sql`create table things (id int primary key)`.execute(database.reader);
    await sql`insert into things values (1)`.execute(database.reader);
    const touch = sql`update things set id = 1`;
    const [touched, passed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const silent = database.transaction(async (tx) => {
      await touch.execute(tx);
      touched.resolve();
      await passed.promise;
      await touch.execute(tx);
    });
    const refused = expect(silent).rejects.toMatchObject(unavailable);
    await touched.promise;
    await database.transaction((tx) => touch.execute(tx));
    passed.resolve();
    await refused;
    await database.close();
    await drop();
  });
});

describe("a slow Postgres", () => {
  it("is UNAVAILABLE after the time-out, except to a migration", async () => {
    const { url, drop } = await createTestDatabase();
    const database = await openDatabase({ url, log: silentLog, statementTimeoutMs: 100 });
    const sleep = sql`select pg_sleep(0.3)`;
    await expect(sleep.execute(database.reader)).rejects.toMatchObject(unavailable);
    await expect(database.transaction((tx) => sleep.execute(tx))).rejects.toMatchObject(unavailable);
    const slow = { name: "slow", beside: null, up: async (tx: Reader) => void (await sleep.execute(tx)) };
    expect(await migrate(database, [slow])).toMatchObject({ applied: ["slow"] });
    await expect(sleep.execute(database.reader)).rejects.toMatchObject(unavailable);
    await database.close();
    await drop();
  });
});
