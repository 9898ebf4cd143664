import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { silentLog } from "../lib/log.ts";
import { DatabaseRefusedError } from "./errors.ts";
import { migrate } from "./migrate.ts";
import { openDatabase } from "./open-database.ts";
import { AlreadyServedError, acquireServerLock, joinServer } from "./server-lock.ts";

describe("server lock", () => {
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "vestibule-lock-"));
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** A process that takes the lock, says so, and stays. */
  async function spawnHolder(url: string) {
    const script = `
      const { acquireServerLock } = await import(${JSON.stringify(import.meta.resolve("./server-lock.ts"))});
      globalThis.held = acquireServerLock(${JSON.stringify(url)});
      process.stdout.write("held");
      setInterval(() => globalThis.gc?.(), 10);`;
    const child = spawn(process.execPath, ["--expose-gc", "--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    return child;
  }

  it("lets in one holder, and the next after it has let go", () => {
    const url = `sqlite:${join(folder, "one.db")}`;
    const lock = acquireServerLock(url);
    expect(() => acquireServerLock(url)).toThrow(DatabaseRefusedError);
    expect(() => acquireServerLock(url)).toThrow(/another server is already running on .*one\.db/);
    expect(statSync(join(folder, "one.db.lock")).mode & 0o777).toBe(0o600);
    lock.release();
    acquireServerLock(url).release();
  });

  it("is one for a file that is reached by two names", async () => {
    const path = join(folder, "named.db");
    await (await openDatabase({ url: `sqlite:${path}`, log: silentLog })).close();
    symlinkSync(path, join(folder, "alias.db"));
    const lock = acquireServerLock(`sqlite:${path}`);
    expect(() => acquireServerLock(`sqlite:${join(folder, "alias.db")}`)).toThrow(DatabaseRefusedError);
    lock.release();
  });

  it("keeps databases apart", () => {
    const first = acquireServerLock(`sqlite:${join(folder, "a.db")}`);
    acquireServerLock(`sqlite:${join(folder, "b.db")}`).release();
    first.release();
  });

  it("is free again at once after its process was killed", async () => {
    const url = `sqlite:${join(folder, "killed.db")}`;
    const child = await spawnHolder(url);
    expect(() => acquireServerLock(url)).toThrow(DatabaseRefusedError);
    child.kill("SIGKILL");
    await once(child, "exit");
    acquireServerLock(url).release();
  });

  it("is shared by those who join, the last of whom lets others in", () => {
    const url = `sqlite:${join(folder, "several.db")}`;
    const refuses = () => expect(() => acquireServerLock(url, true)).toThrow(AlreadyServedError);
    const lock = acquireServerLock(url, true);
    const joined = [joinServer(url), joinServer(url)];
    refuses();
    lock.release();
    refuses();
    joined[0]?.release();
    refuses();
    joined[1]?.release();
    acquireServerLock(url, true).release();
  });

  it("is not joined once it is another's, who serves alone", () => {
    const url = `sqlite:${join(folder, "alone.db")}`;
    const lock = acquireServerLock(url);
    expect(() => joinServer(url)).toThrow(AlreadyServedError);
    lock.release();
  });

  it("does not keep command-line tools from the database", async () => {
    const url = `sqlite:${join(folder, "tool.db")}`;
    const lock = acquireServerLock(url);
    const database = await openDatabase({ url, log: silentLog });
    expect((await migrate(database)).applied).not.toEqual([]);
    await database.close();
    lock.release();
  });

  it("does nothing on Postgres", () => {
    const url = "postgres://db.example/vestibule";
    const first = acquireServerLock(url);
    acquireServerLock(url).release();
    first.release();
  });
});
