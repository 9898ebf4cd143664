import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { useEmptyDatabases } from "../../../test/parts/databases.ts";
import { eventually } from "../../../test/parts/eventually.ts";
import { fillDatabase, lastCounted, readAllRows } from "../../../test/parts/filled-database.ts";
import type { Reader } from "../db/database.ts";
import type { OpenDatabase } from "../db/kysely-database.ts";
import { isEmptyDatabase, migrate, migrateInside } from "../db/migrate.ts";
import { openDatabase } from "../db/open-database.ts";
import { readSnapshot } from "../db/snapshot.ts";
import { systemClock } from "../lib/clock.ts";
import { silentLog } from "../lib/log.ts";
import { type MadeBackup, makeBackup } from "./backup.ts";
import { BackupError } from "./errors.ts";
import { readArchive } from "./read-archive.ts";
import { type RestoreOptions, restoreBackup } from "./restore.ts";
import { openKeys } from "./sealed-keys.ts";

const folder = mkdtempSync(join(tmpdir(), "vestibule-backup-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const createUrl = useEmptyDatabases();

async function open(url: string): Promise<OpenDatabase> {
  return await openDatabase({ url, log: silentLog });
}

let files = 0;
const newPath = () => join(folder, `${files++}.backup`);

async function make(
  url: string,
  path = newPath(),
  more: object = {},
): Promise<MadeBackup & { path: string }> {
  return { path, ...(await makeBackup({ url, path, clock: systemClock, onProgress: () => {}, ...more })) };
}

const restore = (path: string, url: string, more: Partial<RestoreOptions> = {}) =>
  restoreBackup({
    path,
    url,
    endsSessions: false,
    verifyKeys: async () => {},
    onProgress: () => {},
    ...more,
  });

async function isEmpty(url: string): Promise<boolean> {
  const database = await open(url);
  return await isEmptyDatabase(database).finally(() => database.close());
}

/** How many wait for a lock of Postgres that somebody else has. */
async function countWaiting(database: OpenDatabase): Promise<number> {
  const { rows } = await sql<{ n: number }>`
    select count(*) as n from pg_locks where locktype = 'advisory' and not granted
      and database = (select oid from pg_database where datname = current_database())`.execute(
    database.reader,
  );
  return Number(rows[0]?.n);
}

describe.each(["sqlite", "postgres"] as const)("a backup from %s", (from) => {
  let url: string;
  let path: string;
  beforeAll(async () => {
    url = await createUrl(from);
    await fillDatabase(url);
    ({ path } = await make(url));
  });

  it.each(["sqlite", "postgres"] as const)("has all rows of all tables, restored into %s", async (into) => {
    const place = await createUrl(into);
    await restore(path, place);
    const found = await readAllRows(place);
    expect(Object.keys(found).length).toBeGreaterThan(40);
    expect(found).toEqual(await readAllRows(url));
    // Numbers go on behind all that were handed out, not behind all that are there.
    const database = await open(place);
    await database.transaction((tx) =>
      tx
        .insertInto("changes")
        .values({ topic: "user", subject: "x", created_at: 1 } as never)
        .execute(),
    );
    const last = await database.reader
      .selectFrom("changes")
      .select("seq")
      .where("subject", "=", "x")
      .execute();
    await database.close();
    expect(last).toEqual([{ seq: lastCounted + 1 }]);
    // And back: the sums are those of the first.
    const again = await make(place);
    const [one, other] = [await readArchive(path, {}), await readArchive(again.path, {})];
    const { changes: _, ...tables } = one.end.tables;
    expect(other.end.tables).toMatchObject(tables);
  });

  it("is for its owner alone, and overwrites nothing", async () => {
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const before = readFileSync(path);
    await expect(make(url, path)).rejects.toThrow(BackupError);
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  it("holds rows that are as large as a request may be, each line some of them", async () => {
    const place = await createUrl(from);
    const database = await open(place);
    await migrate(database);
    const counts = [30, 600, 9];
    for (const [at, count] of counts.entries()) {
      const subject = "x".repeat(at === 1 ? 10 : 1_500_000);
      const rows = Array.from({ length: count }, () => ({ topic: "user", subject, created_at: 1 }) as never);
      await database.transaction(async (tx) => {
        for (const row of rows) await tx.insertInto("changes").values(row).execute();
      });
    }
    await database.close();
    const made = await make(place);
    const longest = Math.max(
      ...gunzipSync(readFileSync(made.path))
        .toString("utf8")
        .split("\n")
        .map(({ length }) => length),
    );
    expect(longest).toBeLessThan(5 * 1024 * 1024);
    expect((await readArchive(made.path, {})).end.tables.changes?.rows).toBe(639);
  });

  it("is of one moment, whatever is written while it is made", async () => {
    const database = await open(url);
    const count = async (reader: Reader) =>
      (await reader.selectFrom("revoked_tokens").select("jti").execute()).length;
    const seen = await readSnapshot({ url, log: silentLog }, async (reader) => {
      const before = await count(reader);
      await database.transaction((tx) =>
        tx
          .insertInto("revoked_tokens")
          .values({ jti: `late ${from}`, expires_at: 1 })
          .execute(),
      );
      return [before, await count(reader), await count(database.reader)];
    });
    await database.transaction((tx) =>
      tx.deleteFrom("revoked_tokens").where("jti", "=", `late ${from}`).execute(),
    );
    await database.close();
    expect(seen).toEqual([2, 2, 3]);
  });

  it.each(["sqlite", "postgres"] as const)("is restored into %s whole or not at all", async (into) => {
    const place = await createUrl(into);
    const tables = (await readArchive(path, {})).header.tables.length;
    // Failing behind the rows of each table in turn, a few of them.
    for (const at of [1, 9, 2 * tables - 8]) {
      const onProgress = (rows: number) => {
        if (rows >= at) throw new Error("cut");
      };
      await expect(restore(path, place, { onProgress })).rejects.toThrow("cut");
      expect(await isEmpty(place)).toBe(true);
    }
    const verifyKeys = async () => {
      throw new Error("other keys");
    };
    await expect(restore(path, place, { verifyKeys })).rejects.toThrow("other keys");
    expect(await isEmpty(place)).toBe(true);
    await restore(path, place);
    await expect(restore(path, place)).rejects.toThrow(/has tables already/);
    expect(await readAllRows(place)).toEqual(await readAllRows(url));
  });

  it.each(["sqlite", "postgres"] as const)(
    "takes nothing from a server that starts meanwhile on %s",
    async (into) => {
      const place = await createUrl(into);
      const server = await open(place);
      const starting = Promise.withResolvers<void>();
      const goOn = Promise.withResolvers<void>();
      const migrated = server.transaction(async (tx) => {
        await migrateInside(tx);
        await tx.insertInto("revoked_tokens").values({ jti: "the server's", expires_at: 1 }).execute();
        starting.resolve();
        await goOn.promise;
      });
      await starting.promise;
      const restored = restore(path, place).then(
        () => "restored",
        (error) => String(error),
      );
      // On Postgres it has seen no tables when it waits; SQLite's file has one writer at a time.
      if (into === "postgres") await eventually(async () => expect(await countWaiting(server)).toBe(1));
      goOn.resolve();
      await migrated;
      expect(await restored).toMatch(/has tables already/);
      const rows = await server.reader.selectFrom("revoked_tokens").select("jti").execute();
      await server.close();
      expect(rows).toEqual([{ jti: "the server's" }]);
    },
  );

  it("ends sessions where that is asked for", async () => {
    const place = await createUrl(from);
    await restore(path, place, { endsSessions: true });
    const found = await readAllRows(place);
    expect(found).toMatchObject({ sessions: [], gate_sessions: [], auth_flows: [], signing_keys: [] });
    expect(found.users).toHaveLength(2);
  });
});

describe("an SQLite file that is restored into", () => {
  it("has no table until all are there, behind whichever the process ends", async () => {
    const url = await createUrl("sqlite");
    await fillDatabase(url);
    const { path } = await make(url);
    const place = await createUrl("sqlite");
    const file = place.replace("sqlite:", "");
    const copies: string[] = [];
    // What the disk has at a moment is what a process that ends then leaves behind.
    const keep = () => {
      const copy = mkdtempSync(join(folder, "killed-"));
      for (const end of ["", "-wal"]) {
        if (existsSync(`${file}${end}`)) copyFileSync(`${file}${end}`, join(copy, `it.db${end}`));
      }
      copies.push(`sqlite:${join(copy, "it.db")}`);
    };
    await restore(path, place, { onProgress: keep, verifyKeys: async () => keep() });
    const { header } = await readArchive(path, {});
    expect(copies.length).toBeGreaterThan(header.tables.length);
    for (const copy of copies) expect(await isEmpty(copy)).toBe(true);
    for (const copy of [copies[0], copies.at(-1)]) {
      await restore(path, copy ?? "");
      expect(await readAllRows(copy ?? "")).toEqual(await readAllRows(url));
    }
  });
});

describe("a file that is no whole backup", () => {
  let path: string;
  let lines: string[];
  const cases: [string, (bytes: Buffer) => Buffer, RegExp][] = [
    ["empty", () => Buffer.alloc(0), /is empty|is cut short/],
    ["something else", () => Buffer.from("hello, I am no backup\n"), /no backup of vestibule/],
    ["something else, packed", () => gzipSync("hello\n"), /no backup of vestibule/],
    ["cut in its bytes", (bytes) => bytes.subarray(0, -20), /is cut short/],
    ["cut at a line", () => gzipSync(lines.slice(0, -2).join("\n").concat("\n")), /its end is missing/],
    ["without its last line end", () => gzipSync(lines.join("\n").trimEnd()), /is cut short/],
    [
      "with a byte changed",
      (bytes) => flip(bytes, Math.floor(bytes.length / 2)),
      /is damaged|was altered|is no backup/,
    ],
    ["with a value changed", () => gzipSync(lines.join("\n").replace("1 ü", "2 ü")), /was altered/],
    ["with a line less", () => gzipSync(lines.toSpliced(2, 1).join("\n")), /was altered/],
    [
      "with more behind its end",
      () => gzipSync(`${lines.join("\n")}{"table":"users","rows":[]}\n`),
      /follows on its end/,
    ],
    [
      "of another format",
      () => gzipSync(lines.join("\n").replace('"vestibule_backup":1', '"vestibule_backup":2')),
      /format 2.*use a newer one/,
    ],
    [
      "of a newer version",
      () => reseal((text) => text.replace(/"migrations":\[/, '"migrations":["20990101T000000_wings",')),
      /made by a newer version/,
    ],
    ["with a line that is null", () => gzipSync(lines.toSpliced(1, 1, "null").join("\n")), /is damaged/],
    ["with a line that is text", () => gzipSync(lines.toSpliced(1, 1, '"end"').join("\n")), /is damaged/],
    [
      "with rows that are none",
      () => gzipSync(lines.with(1, '{"table":"users","rows":[1]}').join("\n")),
      /is damaged/,
    ],
    ["with an end that says nothing", () => gzipSync(lines.with(-2, '{"end":{}}').join("\n")), /is damaged/],
    ["whose end is null", () => gzipSync(lines.with(-2, '{"end":null}').join("\n")), /is damaged/],
    [
      "of tables that are null",
      () => reseal((text) => text.replace(/"tables":\[/, '"tables":[null,')),
      /is damaged/,
    ],
    ["whose header is null", () => reseal(() => "null"), /no backup of vestibule/],
    [
      "with what a terminal would obey",
      () => reseal((text) => text.replace(/"version":"/, '"version":"\\u001b[2J')),
      /is damaged/,
    ],
    [
      "with rows of another table",
      () => gzipSync(lines.with(1, '{"table":"\\u001b[2J","rows":[]}').join("\n")),
      /rows of a table that its header has not/,
    ],
    [
      "with another table's name",
      () => gzipSync(lines.join("\n").replaceAll('"service_users"', '"other_users"')),
      /was altered/,
    ],
    [
      "with tables of its own",
      () => reseal((text) => text.replace(/"name":"users"/, '"name":"users; drop"')),
      /is damaged/,
    ],
  ];

  const flip = (bytes: Buffer, at: number) =>
    Buffer.from(bytes.map((byte, each) => (each === at ? byte ^ 1 : byte)));

  function reseal(change: (text: string) => string): Buffer {
    const [header = "", ...rest] = lines;
    return gzipSync([change(header), ...rest].join("\n"));
  }

  beforeAll(async () => {
    const url = await createUrl("sqlite");
    await fillDatabase(url);
    ({ path } = await make(url));
    lines = gunzipSync(readFileSync(path)).toString("utf8").split("\n");
  });

  it.each(cases)("%s is refused, and nothing restored", async (_name, alter, message) => {
    const altered = newPath();
    writeFileSync(altered, alter(readFileSync(path)));
    const place = await createUrl("sqlite");
    await expect(restore(altered, place)).rejects.toThrow(message);
    expect(await isEmpty(place)).toBe(true);
  });

  it("that is not there is told so", async () => {
    await expect(readArchive(join(folder, "none"), {})).rejects.toThrow(/is not there/);
  });
});

describe("making a backup", () => {
  it("overwrites no other that was made meanwhile", async () => {
    const url = await createUrl("sqlite");
    await fillDatabase(url);
    const path = newPath();
    const onProgress = () => writeFileSync(path, "another's");
    await expect(make(url, path, { onProgress })).rejects.toThrow(/is there already/);
    expect(readFileSync(path, "utf8")).toBe("another's");
    expect(readdirSync(folder).filter((name) => name.endsWith(".partial"))).toEqual([]);
  });

  it("clears away what one that was killed has left, and nothing else", async () => {
    const url = await createUrl("sqlite");
    await fillDatabase(url);
    const path = newPath();
    const others = [`${path}.partial`, `${path}.0123456789ab.partial.txt`, `${path}.1.0123456789ab.partial`];
    const left = [`${path}.0123456789ab.partial`, `${path}.ba9876543210.partial`];
    for (const file of [...others, ...left]) writeFileSync(file, "half of it");
    await make(url, path);
    const found = readdirSync(folder).map((name) => join(folder, name));
    expect(found.filter((each) => each.startsWith(path)).toSorted()).toEqual([path, ...others].toSorted());
    // Also after one that was killed between having its name and losing the other.
    linkSync(path, left[0] ?? "");
    await expect(make(url, path)).rejects.toThrow(/is there already/);
    expect(existsSync(left[0] ?? "")).toBe(false);
    await readArchive(path, {});
    for (const file of others) rmSync(file);
  });

  it("gives way to a later one into the same file, and never with half of that", async () => {
    const url = await createUrl("sqlite");
    await fillDatabase(url);
    const path = newPath();
    const later = `${path}.0123456789ab.partial`;
    // What a later one does when it begins.
    const onProgress = () => {
      const drafts = readdirSync(folder).filter((name) => name.endsWith(".partial"));
      for (const name of drafts) rmSync(join(folder, name));
      writeFileSync(later, "half of it");
    };
    await expect(make(url, path, { onProgress })).rejects.toThrow(/another into it began meanwhile/);
    expect(existsSync(path)).toBe(false);
    expect(readFileSync(later, "utf8")).toBe("half of it");
    rmSync(later);
  });

  it("leaves nothing where it cannot write", async () => {
    const url = await createUrl("sqlite");
    await fillDatabase(url);
    const before = readdirSync(folder);
    await expect(make(url, join(folder, "missing", "x"))).rejects.toThrow(/cannot be written, got ENOENT/);
    // A device that is always full.
    await expect(make(url, "/dev/full/x")).rejects.toThrow(/cannot be written, got ENOTDIR/);
    expect(readdirSync(folder)).toEqual(before);
  });

  it("of an empty database is refused", async () => {
    await expect(make(await createUrl("postgres"))).rejects.toThrow(/nothing to back up/);
    await expect(make(`sqlite:${join(folder, "none.db")}`)).rejects.toThrow(/nothing to back up/);
  });

  it("seals the keys by a passphrase", async () => {
    const url = await createUrl("sqlite");
    await fillDatabase(url);
    const texts = {
      encryptionKey: "canary-encryption",
      sessionHashKey: "canary-hash",
      sessionBlockKey: "canary-block",
    };
    const { path } = await make(url, newPath(), { keys: { texts, passphrase: "correct horse battery" } });
    const { header } = await readArchive(path, {});
    if (header.keys === undefined) throw new Error("no keys");
    expect(gunzipSync(readFileSync(path)).includes("canary")).toBe(false);
    expect(await openKeys(header.keys, "correct horse battery")).toEqual(texts);
    await expect(openKeys(header.keys, "correct horse batterz")).rejects.toThrow(/passphrase is another/);
    for (const asked of [{ n: 2 ** 30 }, { n: 3 }, { n: 1024, p: 2 ** 20 }, { r: -1 }]) {
      await expect(openKeys({ ...header.keys, ...asked }, "x")).rejects.toThrow(/no backup of ours/);
    }
    await expect(make(url, newPath(), { keys: { texts, passphrase: "short" } })).rejects.toThrow(
      /at least 12/,
    );
  });
});
