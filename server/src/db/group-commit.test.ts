import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { CompiledQuery } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DomainError } from "../lib/errors.ts";
import { silentLog } from "../lib/log.ts";
import { GroupCommit, type GroupCommitOptions } from "./group-commit.ts";
import { SqliteHandle } from "./sqlite-handle.ts";

const unavailable = (error: unknown) => error instanceof DomainError && error.reason === "UNAVAILABLE";

describe("GroupCommit", () => {
  let folder: string;
  let path: string;
  let writer: SqliteHandle;
  let reader: SqliteHandle;
  let statements: string[];
  const toClose: GroupCommit[] = [];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "vestibule-commits-"));
    path = join(folder, "test.db");
    statements = [];
    writer = new SqliteHandle({ path, readOnly: false, onStatement: (text) => statements.push(text) });
    reader = new SqliteHandle({ path, readOnly: true });
    writer.run("create table parents (id integer primary key) strict");
    writer.run(
      "create table rows (id integer primary key, parent integer references parents, text text) strict",
    );
    statements = [];
  });

  afterEach(async () => {
    for (const commits of toClose.splice(0)) await commits.close();
    reader.close();
    writer.close();
    rmSync(folder, { recursive: true, force: true });
  });

  function start(options: Partial<GroupCommitOptions> = {}): GroupCommit {
    const monotonicMs = () => performance.now();
    const presence = { look: () => true, require: () => {} };
    const commits = new GroupCommit({ handle: writer, presence, log: silentLog, monotonicMs, ...options });
    toClose.push(commits);
    return commits;
  }

  async function write(commits: GroupCommit, sql: string): Promise<void> {
    const unit = await commits.begin();
    try {
      writer.execute(CompiledQuery.raw(sql));
      await commits.commit(unit);
    } catch (error) {
      commits.rollback(unit);
      throw error;
    }
  }

  function insert(commits: GroupCommit, id: number): Promise<void> {
    return write(commits, `insert into rows (id) values (${id})`);
  }

  function committedIds(): number[] {
    const { rows } = reader.execute<{ id: number }>(CompiledQuery.raw("select id from rows order by id"));
    return rows.map(({ id }) => id);
  }

  function countOf(statement: string): number {
    return statements.filter((text) => text === statement).length;
  }

  const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

  it("gives transactions that are ready together one commit, up to the limit", async () => {
    const commits = start({ maxUnits: 10, maxBatchMs: 60_000 });
    await Promise.all(numbers(10).map((id) => insert(commits, id)));
    expect(countOf("commit")).toBe(1);
    await Promise.all(numbers(21).map((id) => insert(commits, 100 + id)));
    expect(countOf("commit")).toBe(1 + 3);
    expect(commits.commitCount).toBe(1 + 3);
    const late = numbers(3).map((id) => insert(commits, 200 + id));
    expect(commits.waitingCount).toBe(2);
    await Promise.all(late);
    expect(commits.waitingCount).toBe(0);
    expect(committedIds()).toHaveLength(34);
  });

  it("takes no more into a batch that has been open for long enough", async () => {
    let nowMs = 0;
    const commits = start({ maxBatchMs: 5, monotonicMs: () => nowMs });
    const inserts = numbers(4).map(async (id) => {
      const unit = await commits.begin();
      nowMs += id === 1 ? 5 : 0;
      writer.execute(CompiledQuery.raw(`insert into rows (id) values (${id})`));
      await commits.commit(unit);
    });
    await Promise.all(inserts);
    expect(countOf("commit")).toBe(2);
  });

  it("acknowledges nothing before the commit", async () => {
    const commits = start();
    const first = insert(commits, 1).then(() => committedIds());
    const second = insert(commits, 2).then(() => committedIds());
    expect(await first).toEqual([1, 2]);
    expect(await second).toEqual([1, 2]);
  });

  it("rolls one back without the others of its batch", async () => {
    const commits = start();
    const results = await Promise.allSettled([
      insert(commits, 1),
      insert(commits, 1),
      insert(commits, 2),
      write(commits, "insert into rows (id, parent) values (3, 99)"),
      insert(commits, 4),
    ]);
    expect(results.map(({ status }) => status)).toEqual([
      "fulfilled",
      "rejected",
      "fulfilled",
      "rejected",
      "fulfilled",
    ]);
    expect(countOf("commit")).toBe(1);
    expect(committedIds()).toEqual([1, 2, 4]);
  });

  it("rejects the whole batch when its commit fails, and works again", async () => {
    const commits = start();
    const orphan = write(commits, "pragma defer_foreign_keys = on").then(() => {});
    const results = await Promise.allSettled([
      insert(commits, 1),
      orphan,
      write(commits, "insert into rows (id, parent) values (2, 99)"),
      insert(commits, 3),
    ]);
    expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected", "rejected"]);
    expect(committedIds()).toEqual([]);
    await insert(commits, 4);
    expect(committedIds()).toEqual([4]);
  });

  it("answers UNAVAILABLE when the disk is full, keeps nothing half-written, and works again", async () => {
    const commits = start();
    await insert(commits, 1);
    writer.run("pragma max_page_count = 4");
    const big = write(commits, "insert into rows (id, text) values (2, hex(zeroblob(100000)))");
    const results = await Promise.allSettled([insert(commits, 3), big, insert(commits, 4)]);
    const refused = results.filter((result) => result.status === "rejected");
    expect(refused.length).toBeGreaterThan(0);
    for (const { reason } of refused) expect(reason).toSatisfy(unavailable);
    const kept = results.flatMap(({ status }, index) => (status === "fulfilled" ? [[3, 2, 4][index]] : []));
    expect(committedIds()).toEqual([1, ...kept]);
    writer.run("pragma max_page_count = 1000000");
    await insert(commits, 5);
    expect(committedIds()).toContain(5);
  });

  it("waits for another process's write lock without blocking", async () => {
    const commits = start({ lockWaitMs: 10_000 });
    const other = new SqliteHandle({ path, readOnly: false });
    other.run("begin immediate");
    const waiting = insert(commits, 1);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(committedIds()).toEqual([]);
    other.run("commit");
    other.close();
    await waiting;
    expect(committedIds()).toEqual([1]);
  });

  it("answers UNAVAILABLE when that lock is held for too long, and works again", async () => {
    const commits = start({ lockWaitMs: 20 });
    const other = new SqliteHandle({ path, readOnly: false });
    other.run("begin immediate");
    const results = await Promise.allSettled([insert(commits, 1), insert(commits, 2)]);
    for (const result of results)
      expect(result).toMatchObject({ status: "rejected", reason: { reason: "UNAVAILABLE" } });
    other.run("rollback");
    other.close();
    await insert(commits, 3);
    expect(committedIds()).toEqual([3]);
  });

  it("rolls back a transaction that keeps the others waiting for too long", async () => {
    const commits = start({ maxUnitMs: 40 });
    const unit = await commits.begin();
    writer.execute(CompiledQuery.raw("insert into rows (id) values (1)"));
    await insert(commits, 2);
    expect(unit.isEnded).toBe(true);
    await expect(commits.commit(unit)).rejects.toThrow("has ended");
    expect(committedIds()).toEqual([2]);
  });

  it("finishes what waits when it is closed, and takes no more", async () => {
    const commits = start();
    const waiting = Promise.all(numbers(3).map((id) => insert(commits, id)));
    const closing = commits.close();
    await expect(insert(commits, 9)).rejects.toSatisfy(unavailable);
    await Promise.all([waiting, closing]);
    expect(committedIds()).toEqual([0, 1, 2]);
  });

  it("keeps the database and its companions to their owner", async () => {
    await insert(start(), 1);
    for (const suffix of ["", "-wal", "-shm"]) expect(statSync(`${path}${suffix}`).mode & 0o777).toBe(0o600);
  });

  it("waits for the disk on every commit, enforces references, and reads with a connection that cannot write", () => {
    const pragma = (name: string) => writer.execute(CompiledQuery.raw(`pragma ${name}`)).rows[0];
    expect(pragma("synchronous")).toEqual({ synchronous: 2 });
    expect(pragma("journal_mode")).toEqual({ journal_mode: "wal" });
    expect(pragma("foreign_keys")).toEqual({ foreign_keys: 1 });
    expect(() => reader.execute(CompiledQuery.raw("insert into rows (id) values (1)"))).toThrow();
  });
});
