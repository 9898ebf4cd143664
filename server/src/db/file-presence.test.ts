import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { within } from "../../../test/parts/within.ts";
import { silentLog } from "../lib/log.ts";
import type { OpenDatabase } from "./kysely-database.ts";
import { migrate } from "./migrate.ts";
import { openDatabase } from "./open-database.ts";

const gone = {
  name: "DomainError",
  reason: "UNAVAILABLE",
  detail: "database: the file is gone or another one",
};

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vestibule-presence-"));
  path = join(folder, "x.db");
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function open(name = path): Promise<OpenDatabase> {
  const database = await openDatabase({ url: `sqlite:${name}`, log: silentLog });
  onTestFinished(() => database.close());
  await migrate(database);
  return database;
}

const write = (database: OpenDatabase, jti: string) =>
  database.transaction((tx) => tx.insertInto("revoked_tokens").values({ jti, expires_at: 1 }).execute());

const read = (database: OpenDatabase) => database.reader.selectFrom("revoked_tokens").select("jti").execute();

/** What somebody finds who opens the file that is there. */
function readFile(name: string): string[] {
  const file = new Sqlite(name, { fileMustExist: true });
  const rows = file.prepare("select jti from revoked_tokens order by jti").all() as { jti: string }[];
  file.close();
  return rows.map(({ jti }) => jti);
}

describe("a database file that is not in its place any more", () => {
  it.each([
    ["removed", () => rmSync(path)],
    ["moved", () => renameSync(path, join(folder, "away.db"))],
    [
      "replaced",
      () => {
        copyFileSync(path, join(folder, "copy.db"));
        renameSync(join(folder, "copy.db"), path);
      },
    ],
    ["bereft of its log", () => rmSync(`${path}-wal`)],
    ["bereft of its log's index", () => rmSync(`${path}-shm`)],
    ["removed with its folder", () => rmSync(folder, { recursive: true })],
  ])("is not written to: %s", async (_, lose) => {
    const database = await open();
    await write(database, "before");
    lose();
    // The very next one, not only those after somebody has looked.
    await expect(write(database, "after")).rejects.toMatchObject(gone);
    await expect(write(database, "later")).rejects.toMatchObject(gone);
    await expect(read(database)).rejects.toMatchObject(gone);
  });

  it("is noticed within a second, though nobody writes", async () => {
    await within(1000, async () => {
      const own = mkdtempSync(join(folder, "own-"));
      const database = await open(join(own, "x.db"));
      const lost = Promise.withResolvers<boolean>();
      database.onPresence(lost.resolve);
      const startedAtMs = performance.now();
      rmSync(own, { recursive: true });
      expect(await lost.promise).toBe(false);
      await expect(read(database)).rejects.toMatchObject(gone);
      return performance.now() - startedAtMs;
    });
  });

  it("is used again when it is back, with all that was acknowledged", async () => {
    const database = await open();
    const away = mkdtempSync(join(tmpdir(), "vestibule-away-"));
    onTestFinished(() => rmSync(away, { recursive: true }));
    await write(database, "before");
    const names = ["x.db", "x.db-wal", "x.db-shm"];
    for (const name of names) renameSync(join(folder, name), join(away, name));
    await expect(write(database, "meanwhile")).rejects.toMatchObject(gone);
    const back = Promise.withResolvers<boolean>();
    database.onPresence(back.resolve);
    for (const name of names) renameSync(join(away, name), join(folder, name));
    expect(await back.promise).toBe(true);
    await write(database, "after");
    expect((await read(database)).map(({ jti }) => jti)).toEqual(expect.arrayContaining(["before", "after"]));
  });

  it("leaves what took its place alone, also at the end", async () => {
    const database = await open();
    await write(database, "before");
    for (const name of ["x.db", "x.db-wal", "x.db-shm"]) rmSync(join(folder, name));
    const other = await openDatabase({ url: `sqlite:${path}`, log: silentLog });
    await migrate(other);
    await write(other, "other");
    await expect(write(database, "mine")).rejects.toMatchObject(gone);
    await database.close();
    await write(other, "more");
    await other.close();
    expect(readFile(path)).toEqual(["more", "other"]);
  });

  it("is looked for where a symbolic link leads", async () => {
    const link = join(folder, "link.db");
    await (await open()).close();
    const elsewhere = join(folder, "elsewhere.db");
    copyFileSync(path, elsewhere);
    symlinkSync(path, link);
    const database = await open(link);
    await write(database, "before");
    rmSync(link);
    symlinkSync(elsewhere, link);
    await expect(write(database, "after")).rejects.toMatchObject(gone);
    expect(readFileSync(elsewhere).length).toBeGreaterThan(0);
  });
});
