/** Bad days of backup and restore: disks that are full or only to be read, and ends in the middle. */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { isEmptyDatabase } from "../server/src/db/migrate.ts";
import { openDatabase } from "../server/src/db/open-database.ts";
import { silentLog } from "../server/src/lib/log.ts";
import { createEmptyDatabase } from "./parts/databases.ts";
import { fillDisk, forbidWriting, limitFiles } from "./parts/disks.ts";
import { eventually } from "./parts/eventually.ts";
import { type Ran, runProgram } from "./parts/program.ts";
import { createState, runVestibule, type ServerState, startServer } from "./parts/server.ts";

const sources = join(import.meta.dirname, "../server/src");
const folder = mkdtempSync(join(tmpdir(), "vestibule-disks-"));
const passphraseFile = join(folder, "passphrase.txt");
const whole = join(folder, "whole.backup");

/** How many rows there are besides those of a fresh server, and that are larger than what the disks below have room for. */
const rows = 3_000;
const roomKib = 512;

let state: ServerState;
beforeAll(async () => {
  writeFileSync(passphraseFile, "correct horse battery\n");
  state = await createState("sqlite");
  const server = await startServer({ state });
  expect(await server.stop()).toBe(0);
  const database = new Sqlite(join(state.dataDir, "vestibule.db"));
  const insert = database.prepare("insert into changes (topic, subject, created_at) values ('user', ?, 1)");
  database.transaction(() => {
    for (let count = 0; count < rows; count++) insert.run(randomBytes(500).toString("base64"));
  })();
  database.close();
  const args = ["backup", whole, "--with-keys", "--passphrase-file", passphraseFile];
  expect(await runVestibule(args, state)).toMatchObject({ code: 0, stderr: "" });
  expect(statSync(whole).size).toBeGreaterThan(2 * roomKib * 1024);
});
afterAll(async () => {
  await state?.remove();
  rmSync(folder, { recursive: true, force: true });
});

function makeFolder(): string {
  const made = mkdtempSync(join(folder, "place-"));
  onTestFinished(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

async function createPlace(): Promise<ServerState> {
  const place = {
    ...(await createState("sqlite")),
    clientId: state.clientId,
    clientSecret: state.clientSecret,
  };
  onTestFinished(() => place.remove());
  return place;
}

/** One line for the operator, and nothing of the program's own making. */
function expectRefusal({ code, stderr }: Ran, message: RegExp): void {
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/^vestibule: [^\n]+\n$/) });
  expect(stderr).toMatch(message);
}

describe("a backup", () => {
  it.each([
    ["onto a full disk", (to: string) => fillDisk(to, roomKib)],
    ["beyond what a file may have", () => limitFiles(roomKib)],
    ["where nothing may be written", forbidWriting],
  ])("%s is refused, and leaves nothing", async (_, toPrefix) => {
    const to = makeFolder();
    const file = join(to, "some.backup");
    const ran = await runVestibule(["backup", file], state, { prefix: toPrefix(to) });
    expectRefusal(
      ran,
      /some\.backup: cannot be written, got (ENOSPC|EFBIG|EROFS|EACCES); nothing is left of it/,
    );
    // Of a disk that is gone with the process, what was on it is printed.
    expect(ran.stdout).toMatch(/^(left: \n)?$/);
    expect(readdirSync(to)).toEqual([]);
    // What is there is as good as before: elsewhere there is room.
    expect(await runVestibule(["backup", file], state)).toMatchObject({ code: 0 });
  });

  it("that is killed has no name, and what it leaves goes with the next one", async () => {
    const to = makeFolder();
    const file = join(to, "some.backup");
    for (const part of [0, 0.5, 1]) {
      const url = `sqlite:${join(state.dataDir, "vestibule.db")}`;
      await runUntilKilled({ call: "makeBackup", url, path: file }, part);
      expect(existsSync(file)).toBe(false);
      expect(readdirSync(to)).toEqual([expect.stringMatching(/^some\.backup\.[0-9a-f]{12}\.partial$/)]);
    }
    expect(await runVestibule(["backup", file], state)).toMatchObject({ code: 0 });
    expect(readdirSync(to)).toEqual(["some.backup"]);
    expect(await runVestibule(["backup", "verify", file], state)).toMatchObject({ code: 0 });
  }, 180_000);
});

/** What kills itself once a part of all rows is done; in the repository, where its packages are found. */
const cache = join(import.meta.dirname, "../.cache");
const killed = {
  folder: "",
  contents: `
    import { makeBackup } from "./backup/backup.ts";
    import { restoreBackup } from "./backup/restore.ts";
    const [options = "", part = ""] = process.argv.slice(2);
    const onProgress = (rows, all) => rows >= all * Number(part) && process.kill(process.pid, "SIGKILL");
    const { call, ...given } = JSON.parse(options);
    const more = { clock: { now: () => new Date() }, verifyKeys: async () => {}, onProgress };
    await { makeBackup, restoreBackup }[call]({ ...given, ...more });`,
};
beforeAll(async () => {
  mkdirSync(cache, { recursive: true });
  killed.folder = mkdtempSync(join(cache, "killed-"));
  await build({
    stdin: { contents: killed.contents, resolveDir: sources },
    outfile: join(killed.folder, "main.mjs"),
    bundle: true,
    platform: "node",
    format: "esm",
    external: ["better-sqlite3", "pg-native"],
    banner: {
      js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
    },
  });
});
afterAll(() => rmSync(killed.folder, { recursive: true, force: true }));

/** Makes or restores a backup in a process that kills itself once a part of all rows is done. */
async function runUntilKilled(options: object, part: number): Promise<void> {
  const program = [join(killed.folder, "main.mjs"), JSON.stringify(options), String(part)];
  expect(await runProgram(process.execPath, program)).toMatchObject({ code: null, stderr: "" });
}

describe("a restore", () => {
  const args = ["restore", whole, "--passphrase-file", passphraseFile];

  it.each([
    ["onto a full disk", (to: string) => fillDisk(to, roomKib)],
    ["beyond what a file may have", () => limitFiles(roomKib)],
  ])("%s is refused, and leaves the place empty", async (_, toPrefix) => {
    const toRefusal =
      /whole\.backup: cannot be restored, and nothing of it is there: database: (the disk is full|the disk cannot be written)/;
    const place = await createPlace();
    const dataDir = join(place.dataDir, "data");
    mkdirSync(dataDir, { mode: 0o700 });
    const env = { VESTIBULE_DATA_DIR: dataDir };
    expectRefusal(await runVestibule(args, place, { env, prefix: toPrefix(dataDir) }), toRefusal);
    expect(readdirSync(dataDir).filter((name) => name.endsWith(".key"))).toEqual([]);
    const ran = await runVestibule(args, place, { env });
    expect(ran).toMatchObject({ code: 0, stdout: expect.stringMatching(/ok {4}keys: match the database/) });
  });

  it("with another passphrase is refused before anything is made", async () => {
    const place = await createPlace();
    const dataDir = join(place.dataDir, "data");
    const wrong = join(folder, "wrong.txt");
    writeFileSync(wrong, "correct horse batterz\n");
    for (const command of [
      ["restore", whole],
      ["backup", "keys", whole],
    ]) {
      const ran = await runVestibule([...command, "--passphrase-file", wrong], place, {
        env: { VESTIBULE_DATA_DIR: dataDir },
      });
      expectRefusal(ran, /the passphrase is another/);
      expect(ran.stdout).toBe("");
    }
    expect(existsSync(dataDir)).toBe(false);
  });

  it.each(["sqlite", "postgres"] as const)(
    "into %s that is killed leaves the place empty",
    async (into) => {
      const place = await createEmptyDatabase(into);
      onTestFinished(() => place.drop());
      for (const part of [0.3, 1]) {
        await runUntilKilled(
          { call: "restoreBackup", url: place.url, path: whole, endsSessions: false },
          part,
        );
        // Postgres takes a moment to notice that somebody has gone.
        await eventually(async () => {
          const database = await openDatabase({ url: place.url, log: silentLog });
          expect(await isEmptyDatabase(database).finally(() => database.close())).toBe(true);
        });
      }
    },
    180_000,
  );
});
