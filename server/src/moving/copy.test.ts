import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import Sqlite from "better-sqlite3";
import { sql } from "kysely";
import { afterAll, beforeEach, describe, expect, it, vi } from "vitest";
import { type Dialect, useEmptyDatabases } from "../../../test/parts/databases.ts";
import { eventually } from "../../../test/parts/eventually.ts";
import { fillDatabase, lastCounted, readAllRows } from "../../../test/parts/filled-database.ts";
import { makeBackup } from "../backup/backup.ts";
import { BackupError } from "../backup/errors.ts";
import { ChangeFeed } from "../changes/feed.ts";
import type { Tx } from "../db/database.ts";
import type { OpenDatabase } from "../db/kysely-database.ts";
import { migrate } from "../db/migrate.ts";
import { migrations } from "../db/migrations/index.ts";
import { findMove } from "../db/moves.ts";
import { openDatabase } from "../db/open-database.ts";
import { acquireServerLock } from "../db/server-lock.ts";
import { systemClock } from "../lib/clock.ts";
import { silentLog } from "../lib/log.ts";
import { version } from "../lib/version.ts";
import { type CopyOptions, copyDatabase, takeBack } from "./copy.ts";
import { CopyError } from "./errors.ts";
import { toPlace } from "./places.ts";

// Each opens databases dozens of times.
vi.setConfig({ testTimeout: 240_000 });

const dialects = ["sqlite", "postgres"] as const;
const folder = mkdtempSync(join(tmpdir(), "vestibule-copy-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const createUrl = useEmptyDatabases();

async function createSource(dialect: Dialect): Promise<string> {
  const url = await createUrl(dialect);
  await fillDatabase(url);
  return url;
}

async function open(url: string): Promise<OpenDatabase> {
  return await openDatabase({ url, log: silentLog });
}

async function using<T>(url: string, work: (database: OpenDatabase) => Promise<T>): Promise<T> {
  const database = await open(url);
  return await work(database).finally(() => database.close());
}

const write = (url: string, work: (tx: Tx) => Promise<unknown>) =>
  using(url, (database) => database.transaction(async (tx) => void (await work(tx))));

const copy = (from: string, to: string, more: Partial<CopyOptions> = {}) =>
  copyDatabase({
    from,
    to,
    isOnline: false,
    verifyKeys: async () => {},
    clock: systemClock,
    onProgress: () => {},
    ...more,
  });

/** What a server's start says of a database. */
const start = (url: string) =>
  using(url, (database) => migrate(database)).then(
    () => "starts",
    (error: Error) => error.message,
  );

/** Runs statements on Postgres as the superuser. */
const administer = (url: string, ...statements: string[]) =>
  write(url, async (tx) => {
    for (const statement of statements) await sql.raw(statement).execute(tx);
  });

const addToken = (url: string, jti: string) =>
  write(url, (tx) => tx.insertInto("revoked_tokens").values({ jti, expires_at: 1 }).execute());

const listTokens = (url: string) =>
  using(url, async ({ reader }) =>
    (await reader.selectFrom("revoked_tokens").select("jti").execute()).map(({ jti }) => jti),
  );

/** Beside the row by which running servers are told. */
async function readCopied(url: string): Promise<Record<string, string[]>> {
  const all = await readAllRows(url);
  return { ...all, changes: (all.changes ?? []).filter((row) => !row.includes('"database"')) };
}

describe.each(dialects)("a copy from %s", (from) => {
  let url: string;
  let before: Record<string, string[]>;
  beforeEach(async () => {
    url = await createSource(from);
    before = await readAllRows(url);
  });

  it.each(dialects)(
    "has all rows of all tables in %s, and the source is not served any more",
    async (into) => {
      const place = await createUrl(into);
      const told: number[] = [];
      const made = await copy(url, place, { onProgress: (rows, all) => told.push(rows / all) });
      expect(await readCopied(place)).toEqual(before);
      const rows = Object.values(before).reduce((sum, each) => sum + each.length, 0);
      expect(made.tables.reduce((sum, each) => sum + each.rows, 0)).toBe(rows + 1);
      expect(told.toSorted((one, other) => one - other)).toEqual(told);
      expect(told.at(-1)).toBe(1);
      expect([await start(place), await start(url)]).toEqual([
        "starts",
        expect.stringMatching(/^the database was moved to .* at 20.*take it back/),
      ]);
      await expect(addToken(url, "late")).rejects.toMatchObject({
        kind: "unavailable",
        detail: expect.stringContaining("moved to another place"),
      });
      // Numbers go on behind all that were handed out, not behind all that are there.
      // The first of them is the row by which running servers are told.
      await write(place, (tx) =>
        tx
          .insertInto("changes")
          .values({ topic: "user", subject: "x", created_at: 1 } as never)
          .execute(),
      );
      const { seq } = await using(place, ({ reader }) =>
        reader.selectFrom("changes").select("seq").where("subject", "=", "x").executeTakeFirstOrThrow(),
      );
      expect(seq).toBe(lastCounted + 2);
    },
  );

  it.each(dialects)("goes on in %s after whatever interrupted it, at whichever row", async (into) => {
    const place = await createUrl(into);
    let interrupted = 0;
    for (let at = 1; ; at += 12) {
      const onProgress = (rows: number) => {
        if (rows >= at) throw new CopyError("cut");
      };
      const outcome = await copy(url, place, { onProgress }).then(
        () => "done",
        (error: Error) => error.message,
      );
      if (outcome === "done") break;
      expect(outcome).toBe("cut");
      interrupted++;
      expect([await start(place), await start(url)]).toEqual([
        expect.stringMatching(/is a copy of .* that is not finished/),
        "starts",
      ]);
    }
    expect(interrupted).toBeGreaterThan(5);
    expect(await readCopied(place)).toEqual(before);
  });

  it.each(dialects)(
    "takes into %s what changed since it was interrupted, unique texts that were swapped too",
    async (into) => {
      const place = await createUrl(into);
      let passed = false;
      const onProgress = (rows: number, all: number) => {
        if (rows >= 0.7 * all) throw new CopyError("cut");
        passed = true;
      };
      await expect(copy(url, place, { onProgress })).rejects.toThrow("cut");
      expect(passed).toBe(true);
      await write(url, async (tx) => {
        const [one, other] = await tx.selectFrom("users").select(["id", "email"]).orderBy("id").execute();
        if (one === undefined || other === undefined) throw new Error("no users");
        for (const [id, email] of [
          [one.id, "for a moment"],
          [other.id, one.email],
          [one.id, other.email],
        ] as const)
          await tx.updateTable("users").set({ email }).where("id", "=", id).execute();
        // With all that hangs on it, and another in its place, of the same name.
        const organization = await tx
          .selectFrom("organizations")
          .selectAll()
          .orderBy("id")
          .executeTakeFirstOrThrow();
        await tx.deleteFrom("service_users").where("org_id", "=", organization.id).execute();
        await tx.deleteFrom("organizations").where("id", "=", organization.id).execute();
        await tx
          .insertInto("organizations")
          .values({ ...organization, id: "another" })
          .execute();
        await tx.updateTable("audit_records").set({ details: null }).execute();
      });
      await copy(url, place);
      expect(await readCopied(place)).toEqual(await readCopied(url));
    },
  );

  it.each(dialects)("is there in %s beside a writer, with all that was acknowledged", async (into) => {
    const place = await createUrl(into);
    const writer = await open(url);
    const acknowledged: string[] = [];
    let refusal: unknown;
    const writing = (async () => {
      for (let count = 0; refusal === undefined; count++) {
        // Another process would find the file free now and then; here it has to be let in.
        await sleep(1);
        const jti = `token ${count}`;
        try {
          await writer.transaction((tx) =>
            tx.insertInto("revoked_tokens").values({ jti, expires_at: 1 }).execute(),
          );
          acknowledged.push(jti);
          if (count % 3 === 0)
            await writer.transaction((tx) =>
              tx.deleteFrom("revoked_tokens").where("jti", "=", jti).execute(),
            );
          if (count % 3 === 0) acknowledged.pop();
        } catch (error) {
          refusal = error;
        }
      }
    })();
    await eventually(() => expect(acknowledged.length).toBeGreaterThan(5));
    const made = await copy(url, place, { isOnline: true });
    await writing;
    await writer.close();
    expect(refusal).toMatchObject({ kind: "unavailable" });
    expect(made.lockedMs).toBeGreaterThan(0);
    expect((await listTokens(place)).filter((jti) => jti.startsWith("token")).toSorted()).toEqual(
      acknowledged.toSorted(),
    );
    expect(await readCopied(place)).toEqual(await readCopied(url));
  });

  it("is read and not written to meanwhile", async () => {
    const place = await createUrl("sqlite");
    const other = await openDatabase({ url, log: silentLog, statementTimeoutMs: 300 });
    let looked: Promise<unknown[]> | undefined;
    const onProgress = () => {
      looked ??= Promise.all([
        other.reader.selectFrom("revoked_tokens").select("jti").execute(),
        other
          .transaction((tx) =>
            tx.insertInto("revoked_tokens").values({ jti: "late", expires_at: 1 }).execute(),
          )
          .then(
            () => "written",
            (error) => error.kind,
          ),
      ]);
    };
    await copy(url, place, { onProgress });
    expect(await looked).toEqual([expect.objectContaining({ length: 2 }), "unavailable"]);
    await other.close();
    expect(await readCopied(place)).toEqual(before);
  });

  it("is told to servers that run on, and to those that were away", async () => {
    const [server, late] = [await open(url), await open(url)];
    const parts = { clock: systemClock, log: silentLog, pollIntervalMs: 20 };
    const [feed, lateFeed] = [server, late].map((database) => new ChangeFeed({ database, ...parts })) as [
      ChangeFeed,
      ChangeFeed,
    ];
    const told: string[] = [];
    const onChange = (name: string, { topic, subject }: { topic: string; subject: string }) => {
      if (topic === "database") told.push(`${name} ${subject}`);
    };
    feed.subscribe({ onChange: (change) => onChange("running", change), onReset: () => {} });
    lateFeed.subscribe({ onChange: (change) => onChange("late", change), onReset: () => {} });
    await feed.start();
    const place = await createUrl("sqlite");
    await copy(url, place, { isOnline: true });
    await eventually(() => expect(told).toEqual([`running ${place}`]));
    await lateFeed.start();
    expect(told.at(-1)).toBe(`late ${place}`);
    server.retire(`it was moved to ${place}`);
    await expect(server.reader.selectFrom("users").select("id").execute()).rejects.toMatchObject({
      kind: "unavailable",
      detail: `database: it was moved to ${place}`,
    });
    await feed.stop();
    await lateFeed.stop();
    await Promise.all([server.close(), late.close()]);
  });

  it("is taken back", async () => {
    await expect(takeBack(url)).rejects.toThrow(/nothing to take back/);
    const place = await createUrl("sqlite");
    await copy(url, place);
    await expect(takeBack(place)).rejects.toThrow(/nothing to take back/);
    expect(await takeBack(url)).toMatchObject({ state: "moved", place });
    expect(await start(url)).toBe("starts");
    await addToken(url, "after");
    // And is moved again, elsewhere.
    const other = await createUrl("postgres");
    await copy(url, other);
    expect(await listTokens(other)).toContain("after");
  });

  it("that was killed between the two ends opens the target, and nothing else", async () => {
    const place = await createUrl("sqlite");
    await copy(url, place);
    // As it was before its last transaction.
    const { copyId } = (await using(url, ({ reader }) => findMove(reader))) ?? { copyId: "" };
    await write(place, (tx) =>
      tx
        .insertInto("moves")
        .values({ id: 1, copy_id: copyId, state: "arriving", place: url, at: 1 })
        .execute(),
    );
    expect(await start(place)).toMatch(/not finished/);
    await copy(url, place);
    expect([await start(place), await start(url)]).toEqual(["starts", expect.stringMatching(/was moved to/)]);
    await expect(copy(url, place)).rejects.toThrow(/was moved to .*; take it back first/);
    await expect(copy(url, await createUrl("sqlite"))).rejects.toThrow(/was moved to .*; take it back first/);
  });

  it("goes on to one place alone: what was begun elsewhere is never opened", async () => {
    const [first, second] = [await createUrl("sqlite"), await createUrl("postgres")];
    const cut = copy(url, first, {
      onProgress: () => {
        throw new CopyError("cut");
      },
    });
    await expect(cut).rejects.toThrow("cut");
    await copy(url, second);
    await addToken(second, "served");
    await expect(copy(url, first)).rejects.toThrow(/was moved to .*; take it back first/);
    expect([await start(first), await start(second)]).toEqual([
      expect.stringMatching(/not finished/),
      "starts",
    ]);
  });

  it("is left by one of two copies at once, and the other opens nothing", async () => {
    const [first, second] = [await createUrl("sqlite"), await createUrl("sqlite")];
    let other: Promise<unknown> | undefined;
    const one = copy(url, first, {
      isOnline: true,
      onProgress: () => {
        other ??= copy(url, second, { isOnline: true });
      },
    });
    const outcomes = await Promise.allSettled([one, one.catch(() => {}).then(() => other)]);
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
    await Promise.allSettled([copy(url, first), copy(url, second)]);
    // One that was refused before it began is as empty as it was: a server would begin anew there.
    const begun = await Promise.all(
      [first, second, url].map(async (place) => Object.keys(await readAllRows(place)).length > 0),
    );
    const said = [await start(first), await start(second), await start(url)];
    expect(said.filter((each, index) => begun[index] && each === "starts")).toEqual(["starts"]);
  });

  it("that is taken back while it is copied is not left", async () => {
    const place = await createUrl("sqlite");
    let back: Promise<unknown> | undefined;
    const made = copy(url, place, {
      isOnline: true,
      onProgress: () => {
        back ??= takeBack(url);
      },
    });
    const [outcome] = await Promise.allSettled([made]);
    await back;
    expect(await start(url)).toBe("starts");
    // Whichever came first: what was taken back before it was left is not left, and its copy is not opened.
    if (outcome.status === "fulfilled") expect(await start(place)).toBe("starts");
    else {
      expect(String(outcome.reason)).toMatch(/taken back, or copied to another place/);
      expect(await start(place)).toMatch(/not finished/);
    }
  });

  it("writes nothing more once another run has finished", async () => {
    const place = await createUrl("sqlite");
    let other: Promise<unknown> | undefined;
    const first = copy(url, place, {
      isOnline: true,
      onProgress: () => {
        // Between two tables of the snapshot.
        other ??= write(place, (tx) => tx.deleteFrom("moves").execute());
      },
    });
    await expect(first).rejects.toThrow(/was changed meanwhile/);
    await other;
    expect(await start(url)).toBe("starts");
  });
});

describe.each(dialects)("a target on %s", (into) => {
  const refused = async (from: string, to: string, message: RegExp) => {
    const before = await readAllRows(from);
    await expect(copy(from, to)).rejects.toThrow(message);
    expect(await readAllRows(from)).toEqual(before);
    expect(await start(from)).toBe("starts");
  };
  let url: string;
  let place: string;
  beforeEach(async () => {
    [url, place] = [await createSource("sqlite"), await createUrl(into)];
  });

  const interrupt = (from: string, to: string) => {
    const onProgress = (rows: number) => {
      if (rows > 20) throw new CopyError("cut");
    };
    return expect(copy(from, to, { onProgress })).rejects.toThrow("cut");
  };

  it("that has tables is refused, and left as it is", async () => {
    await fillDatabase(place);
    const before = await readAllRows(place);
    await refused(url, place, /^the target: it has tables already: copy into an empty database$/);
    expect(await readAllRows(place)).toEqual(before);
    expect(await start(place)).toBe("starts");
  });

  it("that has another program's tables is refused", async () => {
    await using(place, ({ reader }) => sql`create table theirs (id integer)`.execute(reader));
    await refused(url, place, /^the target: it has tables already/);
  });

  it("of an older schema is refused", async () => {
    await using(place, (database) => migrate(database, migrations.slice(0, -1)));
    await refused(url, place, /^the target: it has tables already/);
  });

  it("of a newer schema is refused", async () => {
    const wings = { name: "20990101T000000_wings", beside: null, up: async () => {} };
    await using(place, (database) => migrate(database, [...migrations, wings]));
    await refused(url, place, /^the target: the database was made by a newer version/);
  });

  it("where another's copy was interrupted is refused", async () => {
    const other = await createSource("sqlite");
    await interrupt(other, place);
    await refused(
      url,
      place,
      /^the target: it is an unfinished copy of another database, sqlite:.*: copy into an empty/,
    );
    await copy(other, place);
  });

  it("whose copy another version began is refused", async () => {
    await interrupt(url, place);
    const last = migrations.at(-1)?.name ?? "";
    await using(place, ({ reader }) =>
      sql`delete from vestibule_migrations where name = ${last}`.execute(reader),
    );
    await refused(url, place, /begun by another version/);
  });

  it("that is not whole is neither backed up nor copied on", async () => {
    await interrupt(url, place);
    const path = join(folder, "half.backup");
    const parts = { url: place, path, clock: systemClock, onProgress: () => {} };
    await expect(makeBackup(parts)).rejects.toThrow(BackupError);
    await expect(copy(place, await createUrl("sqlite"))).rejects.toThrow(
      /^the source: the database is a copy/,
    );
  });
});

describe("a source", () => {
  it("of an older schema, without tables or without a file is refused, and nothing made", async () => {
    const place = await createUrl("sqlite");
    const older = await createUrl("postgres");
    await using(older, (database) => migrate(database, migrations.slice(0, -1)));
    await expect(copy(older, place)).rejects.toThrow(/^the source: .*older version.*: run vestibule migrate/);
    const newer = await createUrl("sqlite");
    const wings = { name: "20990101T000000_wings", beside: version, up: async () => {} };
    await using(newer, (database) => migrate(database, [...migrations, wings]));
    await expect(copy(newer, place)).rejects.toThrow(/^the source: .*newer version.*: copy by that version/);
    await expect(copy(await createUrl("postgres"), place)).rejects.toThrow(/there is nothing to copy/);
    await expect(copy(`sqlite:${join(folder, "none.db")}`, place)).rejects.toThrow(
      /there is nothing to copy/,
    );
    expect(await using(place, ({ reader }) => reader.introspection.getTables())).toEqual([]);
  });

  it("is copied with its own keys alone", async () => {
    const [url, place] = [await createSource("sqlite"), await createUrl("sqlite")];
    const verifyKeys = async () => {
      throw new Error("other keys");
    };
    await expect(copy(url, place, { verifyKeys })).rejects.toThrow("other keys");
    expect(await using(place, ({ reader }) => reader.introspection.getTables())).toEqual([]);
  });

  it("that a server has is copied online alone, and a target never", async () => {
    const [url, place] = [await createSource("sqlite"), await createUrl("sqlite")];
    const lock = acquireServerLock(url);
    await expect(copy(url, place)).rejects.toThrow(
      /^a server is running on sqlite:.*: stop it, or copy it with --online/,
    );
    await copy(url, place, { isOnline: true });
    lock.release();
    const other = acquireServerLock(place);
    await expect(copy(place, await createUrl("sqlite"))).rejects.toThrow(/a server is running/);
    other.release();
  });

  it("whose role may make nothing in its schema is refused before anything is copied", async () => {
    const url = await createSource("postgres");
    const role = `vestibule_${randomBytes(4).toString("hex")}`;
    await administer(
      url,
      `create role ${role} login password 'password'`,
      "revoke create on schema public from public",
      `grant all on all tables in schema public to ${role}`,
      `grant all on all sequences in schema public to ${role}`,
    );
    const address = new URL(url);
    [address.username, address.password] = [role, "password"];
    const place = await createUrl("sqlite");
    try {
      await expect(copy(address.href, place)).rejects.toThrow(
        `the source: the role ${role} may make no tables in the schema public`,
      );
      expect(await using(url, ({ reader }) => findMove(reader))).toBeUndefined();
    } finally {
      await administer(url, `drop owned by ${role}`, `drop role ${role}`);
    }
  });

  it("lets no server start while it is copied", async () => {
    const [url, place] = [await createSource("sqlite"), await createUrl("sqlite")];
    const onProgress = () =>
      expect(() => acquireServerLock(url)).toThrow(/another server is already running/);
    await copy(url, place, { onProgress });
    acquireServerLock(url).release();
  });

  it("that is no SQLite file is left as it is, on either side", async () => {
    const path = join(folder, "text.db");
    writeFileSync(path, "no database, but a text of some length".repeat(50));
    await expect(copy(`sqlite:${path}`, await createUrl("sqlite"))).rejects.toThrow(
      /^the source: .*no SQLite/,
    );
    await expect(copy(await createSource("sqlite"), `sqlite:${path}`)).rejects.toThrow(
      /^the target: .*no SQLite/,
    );
    expect(readFileSync(path, "utf8")).toMatch(/^no database/);
    const theirs = join(folder, "theirs.db");
    const database = new Sqlite(theirs);
    database.exec("create table theirs (id integer)");
    database.close();
    const bytes = readFileSync(theirs);
    await expect(copy(await createSource("sqlite"), `sqlite:${theirs}`)).rejects.toThrow(
      /has tables already/,
    );
    expect(readFileSync(theirs).equals(bytes)).toBe(true);
  });
});

describe("toPlace", () => {
  it("says where, and nothing by which anybody comes in", () => {
    expect(toPlace("postgres://ada:canary@db.example:5433/x?sslmode=require&password=canary")).toBe(
      "postgres://db.example:5433/x",
    );
    expect(toPlace("sqlite:/srv/a.db")).toBe("sqlite:/srv/a.db");
  });
});
