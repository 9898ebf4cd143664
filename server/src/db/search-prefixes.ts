/**
 * Finding rows by how their texts begin, newest first, among a thousand or a
 * million alike.
 *
 * An index of the texts has in one range what begins alike, but in the order of
 * the texts: the newest of many would take reading all. So each row is stored
 * under every beginning of its texts, and a page is one range of one key, in
 * the order of ids. Longer queries than the longest of these beginnings are
 * looked for among the rows that share their first characters.
 */
import type { IdRange } from "../lib/page-token.ts";
import { putRows } from "./carried-rows.ts";
import type { Reader, Tx } from "./database.ts";

/** Nouns whose rows are found so. */
export type SearchKind = "user" | "organization";

/** A row as it is found. */
export interface Searchable {
  readonly id: string;
  /** Not yet in the spelling that is compared. */
  readonly texts: readonly string[];
  readonly state: "enabled" | "disabled";
}

/** In characters. What is longer is compared row by row. */
export const longestPrefix = 12;

/** How many rows are compared at once. */
const comparedRows = 100;

/** The spelling in which texts are compared: composed, in lower case, without space around it. */
function toSearchText(text: string): string {
  return text.normalize("NFKC").trim().toLowerCase();
}

/** Whether one of some texts begins with the query. */
export function beginsWith(texts: readonly string[], query: string): boolean {
  const text = toSearchText(query);
  return texts.some((each) => toSearchText(each).startsWith(text));
}

/** The first {@link longestPrefix} characters of a text in that spelling. */
function cut(text: string): string {
  return [...text].slice(0, longestPrefix).join("");
}

/** The longest beginning under which a text is stored. */
export function toLongestPrefix(text: string): string {
  return cut(toSearchText(text));
}

/** Every beginning under which texts are stored, each once. */
function listPrefixes(texts: readonly string[]): ReadonlySet<string> {
  const prefixes = new Set<string>();
  for (const text of texts) {
    const characters = [...toLongestPrefix(text)];
    for (let length = 1; length <= characters.length; length++) {
      prefixes.add(characters.slice(0, length).join(""));
    }
  }
  return prefixes;
}

/** What rows are stored under. The disabled are few and looked for among many: they are stored a second time, for themselves. */
export function toKind(kind: SearchKind, state?: Searchable["state"]): string {
  return state === "disabled" ? `disabled ${kind}` : kind;
}

/** Brings what a row is found by up to date. @param before absent for a new row. @param after absent for one that goes. */
export async function updateSearch(
  tx: Tx,
  kind: SearchKind,
  before: Searchable | undefined,
  after: Searchable | undefined,
): Promise<void> {
  const old = listKeys(kind, before);
  const wanted = listKeys(kind, after);
  for (const [rowKind, { id, prefixes }] of old) {
    const gone = [...prefixes].filter((prefix) => !wanted.get(rowKind)?.prefixes.has(prefix));
    if (gone.length === 0) continue;
    await tx
      .deleteFrom("search_prefixes")
      .where("kind", "=", rowKind)
      .where("prefix", "in", gone)
      .where("id", "=", id)
      .execute();
  }
  const added = [...wanted].flatMap(([rowKind, { id, prefixes }]) =>
    [...prefixes]
      .filter((prefix) => !old.get(rowKind)?.prefixes.has(prefix))
      .map((prefix) => ({ kind: rowKind, prefix, id })),
  );
  if (added.length === 0) return;
  await tx
    .insertInto("search_prefixes")
    .values(added)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

const prefixColumns = ["kind", "prefix", "id"];
const prefixTable = {
  name: "search_prefixes",
  columns: prefixColumns.map((name) => ({ name, type: "text" as const })),
  key: prefixColumns,
};

/** Makes many rows found, as far as they are not. */
export async function addSearches(tx: Tx, kind: SearchKind, rows: readonly Searchable[]): Promise<void> {
  const added = rows.flatMap((row) =>
    [...listKeys(kind, row)].flatMap(([rowKind, { id, prefixes }]) =>
      [...prefixes].map((prefix) => [rowKind, prefix, id] as const),
    ),
  );
  // In the order of the index, of which each page is then written once.
  added.sort(([, one], [, other]) => (one < other ? -1 : one > other ? 1 : 0));
  if (added.length > 0) await putRows(tx, prefixTable, added);
}

interface Keys {
  readonly id: string;
  readonly prefixes: ReadonlySet<string>;
}

/** By kind. */
function listKeys(kind: SearchKind, row: Searchable | undefined): ReadonlyMap<string, Keys> {
  if (row === undefined) return new Map();
  const keys = { id: row.id, prefixes: listPrefixes(row.texts) };
  const kinds = new Set([toKind(kind), toKind(kind, row.state)]);
  return new Map([...kinds].map((each) => [each, keys]));
}

/**
 * Ids of what is stored under a beginning of at most {@link longestPrefix}
 * characters, newest first, as the table `found`: to be joined with the rows.
 * The limit is inside, so that no database begins with the rows instead.
 */
export function fromPrefix(
  reader: Reader,
  key: {
    readonly kind: SearchKind;
    readonly state?: Searchable["state"] | undefined;
    readonly prefix: string;
  },
  { afterId, limit }: IdRange,
) {
  const stored = reader
    .selectFrom("search_prefixes")
    .select("id")
    .where("kind", "=", toKind(key.kind, key.state))
    .where("prefix", "=", key.prefix)
    .orderBy("id", "desc")
    .limit(limit);
  const started = afterId === "" ? stored : stored.where("id", "<", afterId);
  return reader.selectFrom(started.as("found")).orderBy("found.id", "desc");
}

/** What is searched for. */
export interface Search {
  readonly query: string;
  readonly state?: Searchable["state"] | undefined;
}

/** A row that is searched among others. */
type Found = Pick<Searchable, "id" | "state">;

/**
 * Rows of which a text begins with the query, newest first.
 *
 * @param find reads the rows that are stored under a prefix, of the state if it is `disabled`.
 */
export async function searchByPrefix<T extends Found>(
  search: Search,
  range: IdRange,
  find: (prefix: string, range: IdRange) => Promise<readonly T[]>,
  textsOf: (row: T) => readonly string[],
): Promise<readonly T[]> {
  const text = toSearchText(search.query);
  const prefix = cut(text);
  const findStored = (stored: IdRange) => find(prefix, stored);
  const isStored = prefix === text && search.state !== "enabled";
  return isStored ? await findStored(range) : await filterRows(search, range, findStored, textsOf);
}

/**
 * Rows of a state of which a text begins with the query, out of all that `find`
 * reads, in its order: where most are such, or the list is short.
 */
export async function filterRows<T extends Found>(
  { query, state }: Search,
  range: IdRange,
  find: (range: IdRange) => Promise<readonly T[]>,
  textsOf: (row: T) => readonly string[],
): Promise<readonly T[]> {
  const isWanted = (row: T) =>
    (state === undefined || row.state === state) && beginsWith(textsOf(row), query);
  const found: T[] = [];
  let { afterId } = range;
  for (;;) {
    const rows = await find({ afterId, limit: comparedRows });
    found.push(...rows.filter(isWanted));
    const last = rows.at(-1);
    if (last === undefined || rows.length < comparedRows || found.length >= range.limit) {
      return found.slice(0, range.limit);
    }
    afterId = last.id;
  }
}
