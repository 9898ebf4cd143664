import { describe, expect, it, onTestFinished } from "vitest";
import { useEmptyDatabases } from "../../../test/parts/databases.ts";
import { newId } from "../lib/ids.ts";
import { silentLog } from "../lib/log.ts";
import type { OpenDatabase } from "./kysely-database.ts";
import { migrate } from "./migrate.ts";
import { openDatabase } from "./open-database.ts";
import { insertSearchEntries, SearchPile, toEntryId } from "./search-pile.ts";
import { longestPrefix, type Searchable, updateSearch } from "./search-prefixes.ts";

const texts = ["person-1", "person-12", "person-2", "Person 1", "", "p", "ÉLODIE Ü", "E\u0301lodie"];
const strange = [
  "𝒳🙂🙂-a",
  "🙂🙂-b",
  "🙂",
  "  a longer one than is kept  ",
  "a longer one",
  "%_'\"\\x",
  "ﬁne",
];

function makeRows(count: number): Searchable[] {
  const all = [...texts, ...strange];
  return Array.from({ length: count }, (_, at) => ({
    id: newId(new Date(Math.floor(Math.random() * 1e12))),
    state: at % 7 === 3 ? "disabled" : "enabled",
    texts: [0, 1, 2].map((step) => all[(at * 5 + step * step) % all.length] ?? ""),
  }));
}

describe("a pile", () => {
  it("hands everything out in the order of the index, no more at a time than it is asked for", () => {
    const pile = new SearchPile("user");
    const rows = makeRows(200);
    pile.add(rows.slice(0, 50));
    pile.add(rows.slice(50));
    expect(pile.size).toBe(200);
    const parts = [...pile.list(64)];
    expect(Math.max(...parts.map(({ entries }) => entries.length))).toBe(64);
    expect([...new Set(parts.map(({ kind }) => kind))]).toEqual(["disabled user", "user"]);
    for (const kind of ["disabled user", "user"]) {
      const keys = parts
        .filter((part) => part.kind === kind)
        .flatMap(({ entries }) => entries.map((entry) => `${entry.slice(36)}\0${toEntryId(entry)}`));
      expect(new Set(keys).size).toBe(keys.length);
      expect(keys).toEqual(keys.toSorted());
    }
    const prefixes = parts.flatMap(({ entries }) => entries.map((entry) => entry.slice(36)));
    expect(Math.max(...prefixes.map((prefix) => [...prefix].length))).toBe(longestPrefix);
    expect(prefixes.every((prefix) => prefix.isWellFormed())).toBe(true);
  });

  it("has nothing of nobody", () => {
    expect([...new SearchPile("user").list(10)]).toEqual([]);
  });
});

describe("a pile's entries, on SQLite", () => {
  const emptyDatabase = useEmptyDatabases();

  async function open(): Promise<OpenDatabase> {
    const database = await openDatabase({ url: await emptyDatabase("sqlite"), log: silentLog });
    onTestFinished(() => database.close());
    await migrate(database);
    return database;
  }

  const read = async ({ reader }: OpenDatabase) =>
    (await reader.selectFrom("search_prefixes").selectAll().execute())
      .map(({ kind, prefix, id }) => [kind, prefix, id].join(" "))
      .toSorted();

  it("are those that are stored row by row, and may be there already", async () => {
    const [one, other] = [await open(), await open()];
    const rows = makeRows(100);
    await one.transaction(async (tx) => {
      for (const row of rows) await updateSearch(tx, "user", undefined, row);
    });
    const pile = new SearchPile("user");
    pile.add(rows);
    for (const time of ["first", "again"]) {
      for (const part of pile.list(50)) await other.transaction((tx) => insertSearchEntries(tx, part));
      expect(await read(other), time).toEqual(await read(one));
    }
  });
});
