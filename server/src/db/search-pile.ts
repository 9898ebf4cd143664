/**
 * What many new rows are found by, collected and handed out in the order in
 * which the database keeps it. Stored one row after another it would go to a
 * page of its own each time, and each page be written anew for it; in order a
 * page takes some dozens at once, at a third of the cost.
 */
import { sql } from "kysely";
import type { Tx } from "./database.ts";
import { type Searchable, type SearchKind, toKind, toLongestPrefix } from "./search-prefixes.ts";

/** Length of an id (RFC 9562 §4). */
const idLength = 36;

/** Entries of one kind, each an id and behind it a beginning of that row's texts. */
export interface SearchEntries {
  readonly kind: string;
  readonly entries: readonly string[];
}

/** Whose an entry is. */
export function toEntryId(entry: string): string {
  return entry.slice(0, idLength);
}

/** SQLite: stores entries; those that are there stay. */
export async function insertSearchEntries(tx: Tx, { kind, entries }: SearchEntries): Promise<void> {
  await sql`insert into search_prefixes (kind, prefix, id)
    select ${kind}, substr(value, ${sql.lit(idLength + 1)}), substr(value, 1, ${sql.lit(idLength)})
    from json_each(${JSON.stringify(entries)}) where true on conflict do nothing`.execute(tx);
}

/** A row as it is kept here: some hundred bytes. */
interface Piled {
  readonly id: string;
  readonly isDisabled: boolean;
  /** In the spelling that is compared, as far as they are stored; each once. */
  readonly texts: readonly string[];
}

/** @see the head of this file */
export class SearchPile {
  readonly #kind: SearchKind;
  readonly #rows: Piled[] = [];

  constructor(kind: SearchKind) {
    this.#kind = kind;
  }

  /** How many rows there are. */
  get size(): number {
    return this.#rows.length;
  }

  add(rows: readonly Searchable[]): void {
    for (const { id, state, texts } of rows) {
      const cut = [...new Set(texts.map(toLongestPrefix))];
      this.#rows.push({ id, isDisabled: state === "disabled", texts: cut });
    }
  }

  /** All there is, at most `atOnce` entries at a time, in the order of the index. */
  *list(atOnce: number): Generator<SearchEntries> {
    this.#rows.sort((one, other) => compare(one.id, other.id));
    const disabled = this.#rows.filter(({ isDisabled }) => isDisabled);
    yield* listEntries(toKind(this.#kind, "disabled"), disabled, atOnce);
    yield* listEntries(toKind(this.#kind), this.#rows, atOnce);
  }
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

/** @param rows in the order of their ids */
function* listEntries(kind: string, rows: readonly Piled[], atOnce: number): Generator<SearchEntries> {
  let entries: string[] = [];
  for (const { prefix, places } of listPrefixes(rows)) {
    let last = -1;
    for (const place of places) {
      // Of two texts that begin alike.
      if (place === last) continue;
      last = place;
      entries.push(`${rows[place]?.id}${prefix}`);
      if (entries.length < atOnce) continue;
      yield { kind, entries };
      entries = [];
    }
  }
  if (entries.length > 0) yield { kind, entries };
}

/** A beginning of texts, and the places of the rows that have it, in their order. */
interface PrefixPlaces {
  readonly prefix: string;
  readonly places: Int32Array;
}

/** Every beginning in the order of texts: what begins alike stands together among the sorted texts. */
function* listPrefixes(rows: readonly Piled[]): Generator<PrefixPlaces> {
  const sorted = rows
    .flatMap(({ texts }, place) => texts.map((text) => ({ text, place })))
    .sort((one, other) => compare(one.text, other.text));
  const texts = sorted.map(({ text }) => text);
  const places = Int32Array.from(sorted, ({ place }) => place);

  /** Those between two places, which share as many code units as `depth`. */
  function* walk(from: number, to: number, depth: number): Generator<PrefixPlaces> {
    let at = from;
    while (at < to && texts[at]?.length === depth) at += 1;
    while (at < to) {
      const prefix = extend(texts[at] ?? "", depth);
      let end = at + 1;
      while (end < to && texts[end]?.startsWith(prefix)) end += 1;
      yield { prefix, places: places.slice(at, end).sort() };
      yield* walk(at, end, prefix.length);
      at = end;
    }
  }
  yield* walk(0, texts.length, 0);
}

/** The first code units of a text, and one character more. */
function extend(text: string, depth: number): string {
  const isPair = (text.codePointAt(depth) ?? 0) > 0xffff;
  return text.slice(0, depth + (isPair ? 2 : 1));
}
