import { beforeEach, expect, it } from "vitest";
import type { Log } from "../lib/log.ts";
import type { Database, Tx } from "./database.ts";
import { type Noted, WriteBehind } from "./write-behind.ts";

interface Seen {
  readonly id: string;
}

const start = Date.UTC(2027, 0, 1);
let nowMs: number;
/** What each transaction wrote. */
let written: string[][];
let warnings: string[];
/** Transactions that still come to pass before the database is away. */
let left: number;
/** Transactions that were begun, and what each waits for. */
let asked: number;
let answers: Promise<void>[];

beforeEach(() => {
  [nowMs, written, warnings, left] = [start, [], [], Infinity];
  [asked, answers] = [0, []];
});

/** Writes only when told to. */
function open(flushAfterMs = 3_600_000) {
  const database: Pick<Database, "transaction"> = {
    async transaction(work) {
      asked += 1;
      await answers.shift();
      if (left-- <= 0) throw new Error("down");
      return await work({} as Tx);
    },
  };
  return new WriteBehind<Seen>({
    database,
    clock: { now: () => new Date(nowMs) },
    log: { warn: (_fields: object, text: string) => warnings.push(text) } as unknown as Log,
    what: "who was seen",
    keyOf: ({ id }) => id,
    everyMs: 60_000,
    flushAfterMs,
    write: async (_tx, notes: readonly Noted<Seen>[]) => {
      written.push(notes.map(({ id, at }) => `${id} ${at.getTime() - start}`));
    },
  });
}

it("writes what was noted together, in one order, each at most once in a while", async () => {
  const seen = open();
  for (const id of ["b", "a", "b"]) seen.note({ id });
  expect(written).toEqual([]);
  await seen.flush();
  expect(written.splice(0)).toEqual([["a 0", "b 0"]]);
  nowMs += 59_999;
  seen.note({ id: "a" });
  await seen.flush();
  expect(written).toEqual([]);
  nowMs += 1;
  seen.note({ id: "a" });
  await seen.flush();
  expect(written).toEqual([["a 60000"]]);
});

it("asks the caller when the last time was, while it does not know itself", async () => {
  const seen = open();
  seen.note({ id: "a" }, new Date(nowMs - 59_999));
  expect(seen.has({ id: "a" })).toBe(false);
  seen.note({ id: "a" }, new Date(nowMs - 60_000));
  expect(seen.has({ id: "a" })).toBe(true);
  nowMs += 1000;
  seen.note({ id: "a" }, new Date(start - 60_000));
  await seen.flush();
  expect(written).toEqual([["a 0"]]);
});

it("notes anew what a clock that ran ahead has noted", async () => {
  const seen = open();
  seen.note({ id: "a" });
  nowMs -= 3_600_000;
  seen.note({ id: "a" });
  await seen.flush();
  expect(written).toEqual([["a -3600000"]]);
});

it("writes by itself, before long", async () => {
  const seen = open(1);
  seen.note({ id: "a" });
  await expect.poll(() => written).toEqual([["a 0"]]);
});

it("takes a hundred in a transaction, and keeps what could not be written for the next time", async () => {
  const seen = open();
  const ids = Array.from({ length: 250 }, (_, index) => String(index + 100));
  for (const id of ids) seen.note({ id });
  left = 1;
  await seen.flush();
  expect(written.map((notes) => notes.length)).toEqual([100]);
  nowMs += 60_000;
  // Newer than what waits, and told of once.
  seen.note({ id: "349" });
  await seen.flush();
  expect(warnings).toEqual(["who was seen could not be noted; will try again"]);
  left = Infinity;
  await seen.flush();
  expect(written.map((notes) => notes.length)).toEqual([100, 100, 50]);
  expect(written.flat().map((note) => note.split(" ")[0])).toEqual(ids);
  expect(written.flat().at(-1)).toBe("349 60000");
  await seen.flush();
  expect(written).toHaveLength(3);
});

it("keeps no more than it can hold while the database is away", async () => {
  const seen = open();
  for (let id = 0; id < 20_001; id += 1) seen.note({ id: String(id) });
  await seen.flush();
  expect(written.flat()).toHaveLength(20_000);
});

it("writes one after another, nothing twice, and asks a slow database once more however often it is told to", async () => {
  const seen = open();
  seen.note({ id: "a" });
  const slow = Promise.withResolvers<void>();
  answers = [slow.promise];
  const first = seen.flush();
  await expect.poll(() => asked).toBe(1);
  seen.note({ id: "b" });
  const others = Array.from({ length: 5 }, () => seen.flush());
  slow.reject(new Error("down"));
  await first;
  await Promise.all(others);
  expect(asked).toBe(2);
  expect(written).toEqual([["a 0", "b 0"]]);
});
