/** From 0.1.0, as it was packed, to this program: nothing is lost, and the commands of docs/upgrading.md do what they say. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { migrate } from "../server/src/db/migrate.ts";
import { migrations, type SchemaMigration } from "../server/src/db/migrations/index.ts";
import { openDatabase } from "../server/src/db/open-database.ts";
import { silentLog } from "../server/src/lib/log.ts";
import { version } from "../server/src/lib/version.ts";
import { readBlocks } from "./parts/documentation.ts";
import { eventually } from "./parts/eventually.ts";
import {
  createMachine,
  fillState,
  type Holdings,
  readAllRows,
  type Surroundings,
  startSurroundings,
  toUrl,
} from "./parts/full-state.ts";
import { unpackOldProgram } from "./parts/old-program.ts";
import { Person } from "./parts/person.ts";
import {
  createState,
  findFreePort,
  runVestibule,
  type ServerState,
  startServer,
  type TestServer,
} from "./parts/server.ts";

const old = unpackOldProgram();
afterAll(() => old[Symbol.dispose]());

const [backup = "", dryRun = "", migrateCommand = "", doctor = "", ...others] = readBlocks(
  "docs/upgrading.md",
  "sh",
).map((block) => block.trim().replace("npx vestibule ", ""));

/** Makes service users for as long as it is let. Answers the ids of those that were acknowledged. */
function writeOn(server: TestServer): { stop(): Promise<readonly string[]> } {
  let isDone = false;
  const writing = (async () => {
    const ids: string[] = [];
    while (!isDone) ids.push(await createMachine(server));
    return ids;
  })();
  return {
    stop: async () => {
      isDone = true;
      return await writing;
    },
  };
}

/**
 * A program that begins to migrate, prints a line in the middle, and then
 * fails or waits to be killed.
 */
function toMigration(url: string, mustFail: boolean): string {
  const from = (path: string) => JSON.stringify(import.meta.resolve(`../server/src/${path}`));
  return `
    const { openDatabase } = await import(${from("db/open-database.ts")});
    const { migrate } = await import(${from("db/migrate.ts")});
    const { migrations } = await import(${from("db/migrations/index.ts")});
    const { silentLog: log } = await import(${from("lib/log.ts")});
    const half = async (db) => {
      await db.schema.createTable("half").addColumn("id", "text").execute();
      await db.updateTable("users").set({ title: "half" }).execute();
      process.stdout.write("in the middle");
      if (${mustFail}) throw new Error("cannot");
      await new Promise(() => setInterval(() => {}, 1_000));
    };
    const database = await openDatabase({ url: ${JSON.stringify(url)}, log });
    await migrate(database, [...migrations, { name: "99991231T000000_half", beside: null, up: half }]);`;
}

it("the page has the commands that are run here", () => {
  expect([backup, dryRun, migrateCommand, doctor, ...others]).toEqual([
    "backup before-upgrade.backup",
    "migrate --dry-run",
    "migrate",
    "doctor",
  ]);
});

describe.each(["sqlite", "postgres"] as const)("a database of 0.1.0 (%s)", (database) => {
  let surroundings: Surroundings;
  let state: ServerState;
  let port: number;
  let before: TestServer;
  let holdings: Holdings;

  const start = (command?: string) => startServer({ state, port, config: surroundings.config, command });
  const run = (line: string, command?: string) =>
    runVestibule(line.split(" "), state, { config: surroundings.config, command });

  beforeAll(async () => {
    surroundings = await startSurroundings();
    state = await createState(database);
    port = await findFreePort();
    before = await start(old.command);
    holdings = await fillState(before);
  });
  afterAll(async () => {
    await before?.kill();
    await state?.remove();
    await surroundings?.[Symbol.asyncDispose]();
  });

  it("has data in every table", async () => {
    expect(await holdings.checkLasting()).toEqual([]);
    // What is written behind requests is there at the latest when a server has ended.
    expect(await before.stop()).toBe(0);
    const rows = await readAllRows(state);
    expect([...rows].filter(([, found]) => found.length === 0).map(([name]) => name)).toEqual([]);
    before = await start(old.command);
  });

  it.each(["is killed", "fails"])("is as it was after a migration that %s in the middle", async (end) => {
    expect(await before.stop()).toBe(0);
    const rows = await readAllRows(state);
    const child = spawn(
      process.execPath,
      ["--input-type=module", "-e", toMigration(toUrl(state), end === "fails")],
      { stdio: ["ignore", "pipe", "ignore"] },
    );
    const ended = once(child, "exit");
    await once(child.stdout, "data");
    if (end === "is killed") child.kill("SIGKILL");
    expect(await ended).toEqual(end === "fails" ? [1, null] : [null, "SIGKILL"]);
    await eventually(async () => expect(await readAllRows(state)).toEqual(rows));
    before = await start(old.command);
    expect(await holdings.checkLasting()).toEqual([]);
    expect((await run(doctor, old.command)).stdout).toContain("ok    schema: up to date\n");
  });

  it("is backed up and looked at by the new program beside the old one, and stays as it is", async () => {
    const path = join(tmpdir(), `before-upgrade-${process.pid}-${database}.backup`);
    onTestFinished(() => rmSync(path, { force: true }));
    const made = await run(backup.replace("before-upgrade.backup", path));
    expect(made).toMatchObject({ code: 0, stderr: "" });
    const asked = await run(dryRun);
    expect(asked).toMatchObject({ code: 0, stderr: "" });
    const lines = asked.stdout.trim().split("\n");
    const missing = migrations.filter(({ beside }) => beside !== null);
    expect(lines.slice(0, -1)).toEqual(missing.map(({ name }) => `would apply ${name}`));
    expect(lines.at(-1)).toBe("servers of 0.1.0 and later may go on serving");
    // A second server on one file changes nothing of it either.
    if (database === "sqlite") {
      const second = await run("serve");
      expect(second).toMatchObject({
        code: 1,
        stderr: expect.stringContaining("another server is already running"),
      });
      expect(await run(dryRun)).toEqual(asked);
    }
    expect((await run(doctor, old.command)).stdout).toContain("ok    schema: up to date\n");
  });

  it("is migrated under the old server, which goes on, and served by the new one with nothing lost", async () => {
    const keys = await readAllRows(state, { keysOnly: true });
    const writing = writeOn(before);
    const migrated = await run(migrateCommand);
    expect(migrated).toMatchObject({ code: 0, stderr: "" });
    expect(migrated.stdout).toMatch(/^(applied \d{8}T\d{6}_\w+\n)+$/);
    const made = await writing.stop();
    expect(made.length).toBeGreaterThan(0);
    const there = await readAllRows(state, { keysOnly: true });
    for (const [table, found] of keys)
      expect(there.get(table), table).toEqual(expect.arrayContaining([...found]));
    expect(await holdings.checkLasting()).toEqual([]);
    const later = await createMachine(before);
    expect((await run(doctor)).stdout).toContain("ok    schema: up to date\n");
    // Nobody told 0.1.0 of the rule: it serves on, and starts no more.
    const refused = await run(doctor, old.command);
    expect(refused).toMatchObject({ code: 1 });
    expect(refused.stdout).toContain("made by a newer version of vestibule");

    expect(await before.stop()).toBe(0);
    before = await start();
    expect(await holdings.checkLasting()).toEqual([]);
    expect(await holdings.takeOnce()).toEqual([]);
    expect(await before.stop()).toBe(0);
    const machines = ((await readAllRows(state)).get("service_users") ?? []) as readonly {
      readonly id: string;
    }[];
    expect(machines.map(({ id }) => id)).toEqual(expect.arrayContaining([...made, later]));
  });
});

describe.each(["sqlite", "postgres"] as const)(
  "a database that tomorrow's program has migrated (%s)",
  (database) => {
    /** What tomorrow's program has more. */
    async function migrateTomorrow(state: ServerState, beside: string | null): Promise<string> {
      const tomorrow: SchemaMigration = {
        name: "99991231T000000_tomorrow",
        beside,
        up: async (db) => {
          await db.schema.alterTable("users").addColumn("tomorrow", "text").execute();
          await db.schema.createTable("tomorrows").addColumn("id", "text").execute();
        },
      };
      const opened = await openDatabase({ url: toUrl(state), log: silentLog });
      await migrate(opened, [...migrations, tomorrow]).finally(() => opened.close());
      return tomorrow.name;
    }

    it("is served on by those that it may be, who restart, and every command of theirs works", async () => {
      const state = await createState(database);
      onTestFinished(() => state.remove());
      const port = await findFreePort();
      const server = await startServer({ state, port });
      onTestFinished(() => server.kill());
      const ada = new Person(server);
      await ada.signIn("ada@example.org");
      const name = await migrateTomorrow(state, version);
      // It goes on without having noticed, and writes.
      const known = async () => (await ada.call("GetCurrentUser")).json.user?.email;
      expect(await known()).toBe("ada@example.org");
      await new Person(server).signIn("bob@example.org");
      await createMachine(server);

      await server.kill();
      const again = await startServer({ state, port });
      onTestFinished(() => again.kill());
      await eventually(() => expect(again.stdout()).toContain("the database is newer than this program"));
      expect(await known()).toBe("ada@example.org");
      await new Person(again).signIn("cyd@example.org");
      const newer = `newer than this program, which may serve on it: it has ${name}`;
      expect(await runVestibule(["migrate", "--dry-run"], state)).toEqual({
        code: 0,
        stdout: `the schema is ${newer}\n`,
        stderr: "",
      });
      expect((await runVestibule(["doctor"], state)).stdout).toContain(`ok    schema: ${newer}\n`);
      for (const args of [["migrate"], ["keys", "rotate"]]) {
        expect(await runVestibule(args, state), args.join(" ")).toMatchObject({ code: 0, stderr: "" });
      }
    });

    it("is served on by no program of before, once one has ended, where it takes none", async () => {
      const state = await createState(database);
      onTestFinished(() => state.remove());
      const server = await startServer({ state });
      onTestFinished(() => server.kill());
      const name = await migrateTomorrow(state, null);
      await server.stop();
      for (const command of ["serve", "migrate", "migrate --dry-run"]) {
        const refused = await runVestibule(command.split(" "), state);
        expect([command, refused.code, refused.stdout]).toEqual([command, 1, ""]);
        expect(refused.stderr).toBe(
          `vestibule: the database was made by a newer version of vestibule (it has ${name}, unknown here): ` +
            "run that version or a later one, or restore a backup taken before the upgrade\n",
        );
      }
      const asked = await runVestibule(["doctor"], state);
      expect([asked.code, asked.stdout]).toEqual([
        1,
        expect.stringContaining(`FAIL  database: the database was made`),
      ]);
    });
  },
);
