import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as rest } from "node:timers/promises";
import Sqlite from "better-sqlite3";
import { CompiledQuery } from "kysely";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Log, silentLog } from "../lib/log.ts";
import { Checkpointer } from "./checkpointer.ts";
import { SqliteHandle } from "./sqlite-handle.ts";

const rows = 500;
const bytesPerRow = 4000;

describe("Checkpointer", () => {
  let folder: string;
  let path: string;
  let writer: SqliteHandle;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "vestibule-checkpoints-"));
    path = join(folder, "test.db");
    writer = new SqliteHandle({ path, readOnly: false });
    writer.run("create table rows (id integer primary key, bytes blob) strict");
  });

  afterEach(() => {
    vi.useRealTimers();
    writer.close();
    rmSync(folder, { recursive: true, force: true });
  });

  function fill(): void {
    writer.run("begin");
    for (let id = 0; id < rows; id++) {
      writer.execute(CompiledQuery.raw("insert into rows (bytes) values (zeroblob(?))", [bytesPerRow]));
    }
    writer.run("commit");
  }

  /** How many rows are in the file itself, whatever its log holds. */
  function countInFile(): number {
    const copy = join(folder, "copy.db");
    copyFileSync(path, copy);
    const database = new Sqlite(copy);
    try {
      return database.prepare("select count(*) from rows").pluck().get() as number;
    } finally {
      database.close();
    }
  }

  it("keeps a process that closes it until it has finished, where nothing else does", () => {
    fill();
    const module = new URL("checkpointer.ts", import.meta.url).href;
    const program = `
      const { Checkpointer } = await import(${JSON.stringify(module)});
      const checkpointer = new Checkpointer({ path: ${JSON.stringify(path)}, log: { warn() {} } });
      void checkpointer.checkpoint();
      await checkpointer.close();
      console.log("closed");`;
    const args = ["--input-type=module", "--eval", program];
    const { stdout, status } = spawnSync(process.execPath, args, { encoding: "utf8" });
    expect([stdout, status]).toEqual(["closed\n", 0]);
  });

  it("writes the log back while the writer is in a transaction, without its uncommitted rows", async () => {
    const checkpointer = new Checkpointer({ path, log: silentLog });
    fill();
    writer.run("begin immediate");
    writer.run("insert into rows (bytes) values (zeroblob(10))");
    const checkpoint = await checkpointer.checkpoint();
    expect(checkpoint?.pages).toBeGreaterThan(rows);
    expect(checkpoint?.writtenBack).toBe(checkpoint?.pages);
    expect(countInFile()).toBe(rows);
    writer.run("commit");
    await checkpointer.close();
  });

  it("keeps the log from growing: what is written back is written over", async () => {
    const checkpointer = new Checkpointer({ path, log: silentLog });
    fill();
    await checkpointer.checkpoint();
    const bytes = statSync(`${path}-wal`).size;
    for (let round = 0; round < 3; round++) {
      fill();
      await checkpointer.checkpoint();
    }
    expect(statSync(`${path}-wal`).size).toBeLessThan(bytes * 1.1);
    await checkpointer.close();
  });

  it("gives back what a log has taken on disk beyond its limit, once it is written back", async () => {
    const checkpointer = new Checkpointer({ path, log: silentLog });
    const limit = 64 * 1024 * 1024;
    const reader = new Sqlite(path);
    const held = reader.transaction(() => {
      reader.prepare("select count(*) from rows").get();
      // Nothing of it can be written over while somebody reads.
      while (statSync(`${path}-wal`).size < limit * 1.2) fill();
    });
    held();
    reader.close();
    await checkpointer.checkpoint();
    writer.run("insert into rows (bytes) values (zeroblob(10))");
    expect(statSync(`${path}-wal`).size).toBeLessThanOrEqual(limit);
    await checkpointer.close();
  });

  it("begins a long log anew though more was written while it was written back", async () => {
    const checkpointer = new Checkpointer({ path, log: silentLog });
    // One for the thread to be there, or the transaction below would be over before it looks.
    await checkpointer.checkpoint();
    for (let times = 0; times < 9; times++) fill();
    writer.run("begin immediate");
    writer.run("insert into rows (bytes) values (zeroblob(10))");
    const writtenBack = checkpointer.checkpoint();
    await rest(20);
    writer.run("commit");
    expect((await writtenBack)?.pages).toBeGreaterThan(4000);
    fill();
    const next = await checkpointer.checkpoint();
    expect(next?.pages).toBeLessThan(2 * rows);
    await checkpointer.close();
    expect(countInFile()).toBe(10 * rows + 1);
  });

  it.each([
    ["leaves a short log alone", 2 * rows * bytesPerRow, 0],
    ["writes a long one back after a commit", rows * bytesPerRow, rows],
  ])("%s", async (_, startBytes, expected) => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const checkpointer = new Checkpointer({ path, log: silentLog, startBytes, delayMs: 500 });
    await checkpointer.checkpoint();
    fill();
    checkpointer.noteCommit();
    vi.advanceTimersByTime(500);
    await checkpointer.close();
    expect(countInFile()).toBe(expected);
  });

  it("says so when it cannot, and tries again when it is asked the next time", async () => {
    const warn = vi.fn();
    const log: Log = { ...silentLog, warn };
    const elsewhere = join(folder, "other.db");
    const checkpointer = new Checkpointer({ path: elsewhere, log });
    expect(await checkpointer.checkpoint()).toBeUndefined();
    expect(warn).toHaveBeenCalledOnce();
    writeFileSync(elsewhere, "");
    expect(await checkpointer.checkpoint()).toBeDefined();
    await checkpointer.close();
  });
});
