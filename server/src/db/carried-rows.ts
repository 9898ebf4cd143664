/**
 * Rows as they are carried from one database to another: all columns of a
 * table, in the order of its shape, as JSON has them; bytes in hexadecimal.
 */
import { createHash } from "node:crypto";
import { type RawBuilder, sql } from "kysely";
import type { Reader, Tx } from "./database.ts";
import { dialectOf } from "./dialect.ts";
import type { ColumnShape, TableShape } from "./table-shapes.ts";

/** A row's values in the order of its table's columns. */
export type CarriedRow = readonly (string | number | null)[];

/**
 * The column that keeps Postgres's own number of a transaction, which means
 * nothing in another database (`commit-order.ts`).
 */
const transactionColumn = "xact";

/** How many rows are read at once at most, and at first. */
const [mostPerPage, firstPage] = [500, 20];

/** How much of them, in characters, is as much as is wanted at once: some rows are as large as a request may be. */
const pageCharacters = 4 * 1024 * 1024;

/**
 * All rows of a table in the order of its primary key, some at a time: no more
 * than `atOnce` and {@link pageCharacters}, or one row that is larger. What is
 * read belongs together only within a snapshot (`snapshot.ts`).
 */
export async function* readRows(
  reader: Reader,
  table: TableShape,
  atOnce = mostPerPage,
): AsyncGenerator<readonly CarriedRow[]> {
  const { name, columns, key } = table;
  const places = toKeyPlaces(table);
  const selected = sql.join(columns.map(toSelected(dialectOf(reader))));
  const by = sql.join(key.map((column) => sql.ref(column)));
  let after: CarriedRow | undefined;
  let limit = firstPage;
  for (;;) {
    const where = after === undefined ? sql`` : sql`where (${by}) > (${sql.join(after)})`;
    const query = sql<Record<string, string | number | null>>`
      select ${selected} from ${sql.table(name)} ${where} order by ${by} limit ${sql.lit(limit)}`;
    const { rows } = await query.execute(reader);
    const page = rows.map((row) => toCarried(table, row));
    const parts = [...inParts(page)];
    yield* parts;
    if (page.length < limit) return;
    const last = page.at(-1) ?? [];
    after = places.map((place) => last[place] ?? null);
    limit = parts.length > 1 ? Math.ceil(limit / parts.length) : Math.min(atOnce, limit * 2);
  }
}

function toKeyPlaces({ columns, key }: TableShape): readonly number[] {
  return key.map((column) => columns.findIndex(({ name }) => name === column));
}

function toCarried({ columns }: TableShape, row: Record<string, string | number | null>): CarriedRow {
  return columns.map(({ name }) => row[name] ?? null);
}

/** The columns of a table's primary key alone, as if it had no others. */
export function toKeyShape(table: TableShape): TableShape {
  const { name, columns, key } = table;
  return { name, columns: columns.filter((column) => key.includes(column.name)), key };
}

/** Those rows of a table that have the keys of `like`, in any order. @param like rows of its columns */
export async function findSameKeyed(
  reader: Reader,
  table: TableShape,
  like: readonly CarriedRow[],
): Promise<readonly CarriedRow[]> {
  const isSqlite = dialectOf(reader) === "sqlite";
  const { name, columns, key } = table;
  const selected = sql.join(columns.map(toSelected(dialectOf(reader), "t")));
  const [values, places] = [toValues(isSqlite, table), toKeyPlaces(table)];
  const isSame = sql.join(
    key.map((column, at) => sql`${sql.ref(`t.${column}`)} = ${values[places[at] ?? 0]}`),
    sql` and `,
  );
  // `cross`: SQLite is to look up each of them, and not to read the table.
  const join = isSqlite ? sql`cross join` : sql`join`;
  const query = sql<Record<string, string | number | null>>`
    select ${selected} from ${toEach(isSqlite, like)} ${join} ${sql.table(name)} as t on ${isSame}`;
  const { rows } = await query.execute(reader);
  return rows.map((row) => toCarried(table, row));
}

/** Removes those rows of a table that have the keys of `like`. @param like rows of its columns */
export async function removeSameKeyed(tx: Tx, table: TableShape, like: readonly CarriedRow[]): Promise<void> {
  const isSqlite = dialectOf(tx) === "sqlite";
  const [values, places] = [toValues(isSqlite, table), toKeyPlaces(table)];
  const key = sql.join(table.key.map((column) => sql.ref(column)));
  const listed = sql.join(places.map((place) => values[place]));
  await sql`delete from ${sql.table(table.name)}
    where (${key}) in (select ${listed} from ${toEach(isSqlite, like)})`.execute(tx);
}

/** Cuts a page into parts that are each no larger than what is wanted at once. */
function* inParts(page: readonly CarriedRow[]): Generator<readonly CarriedRow[]> {
  let [start, size] = [0, 0];
  for (const [at, row] of page.entries()) {
    const own = row.reduce<number>((sum, value) => sum + String(value).length, 0);
    if (at > start && size + own > pageCharacters) {
      yield page.slice(start, at);
      [start, size] = [at, 0];
    }
    size += own;
  }
  if (start < page.length) yield page.slice(start);
}

function toSelected(dialect: "sqlite" | "postgres", table?: string) {
  return ({ name, type }: ColumnShape) => {
    const column = sql.ref(table === undefined ? name : `${table}.${name}`);
    if (type !== "bytes") return column;
    return dialect === "sqlite"
      ? sql`lower(hex(${column})) as ${sql.ref(name)}`
      : sql`encode(${column}, 'hex') as ${sql.ref(name)}`;
  };
}

/**
 * Rows for a database of another kind, or from one. SQLite has no numbers of
 * transactions, and rows from there come before all that Postgres adds: each
 * has 0, in the order of `seq`.
 */
export function withoutTransactions(
  { columns }: TableShape,
  rows: readonly CarriedRow[],
): readonly CarriedRow[] {
  const at = columns.findIndex(({ name }) => name === transactionColumn);
  return at < 0 ? rows : rows.map((row) => row.with(at, 0));
}

/** How many rows there are in all these tables. */
export async function countRows(reader: Reader, tables: readonly TableShape[]): Promise<number> {
  let all = 0;
  for (const { name } of tables) {
    const { rows } = await sql<{ n: number }>`select count(*) as n from ${sql.table(name)}`.execute(reader);
    all += rows[0]?.n ?? 0;
  }
  return all;
}

/** Removes all rows there are. @param tables those that are referred to before those that refer */
export async function removeAllRows(tx: Tx, tables: readonly TableShape[]): Promise<void> {
  for (const { name } of tables.toReversed()) await sql`delete from ${sql.table(name)}`.execute(tx);
}

/** Writes rows as they were read; those of one call in one statement. */
export async function writeRows(tx: Tx, table: TableShape, rows: readonly CarriedRow[]): Promise<void> {
  await insertRows(tx, table, rows, sql``);
}

/** As {@link writeRows}, in place of those of the same key. */
export async function putRows(tx: Tx, table: TableShape, rows: readonly CarriedRow[]): Promise<void> {
  const others = table.columns.filter(({ name }) => !table.key.includes(name));
  const set = sql.join(others.map(({ name }) => sql`${sql.ref(name)} = ${sql.ref(`excluded.${name}`)}`));
  const action = others.length === 0 ? sql`do nothing` : sql`do update set ${set}`;
  const key = sql.join(table.key.map((column) => sql.ref(column)));
  // SQLite would take `on` for that of a join.
  await insertRows(tx, table, rows, sql`where true on conflict (${key}) ${action}`);
}

async function insertRows(
  tx: Tx,
  table: TableShape,
  rows: readonly CarriedRow[],
  rest: RawBuilder<unknown>,
): Promise<void> {
  const { name, columns, counted } = table;
  const isSqlite = dialectOf(tx) === "sqlite";
  const names = sql.join(columns.map((column) => sql.ref(column.name)));
  const values = sql.join(toValues(isSqlite, table));
  const overriding = !isSqlite && counted !== undefined ? sql`overriding system value` : sql``;
  await sql`insert into ${sql.table(name)} (${names}) ${overriding}
    select ${values} from ${toEach(isSqlite, rows)} ${rest}`.execute(tx);
}

/** Rows as a table `r`, and the values of each of them by {@link toValues}. */
function toEach(isSqlite: boolean, rows: readonly CarriedRow[]): RawBuilder<unknown> {
  const list = JSON.stringify(rows);
  return isSqlite ? sql`json_each(${list}) as r` : sql`json_array_elements(${list}::json) as r(value)`;
}

function toValues(isSqlite: boolean, { columns }: TableShape): readonly RawBuilder<unknown>[] {
  return columns.map((column, at) => (isSqlite ? toSqlite(column, at) : toPostgres(column, at)));
}

function toSqlite({ type }: ColumnShape, at: number) {
  const value = sql`r.value ->> ${sql.lit(`$[${at}]`)}`;
  return type === "bytes" ? sql`unhex(${value})` : value;
}

function toPostgres({ type }: ColumnShape, at: number) {
  const value = sql`(r.value ->> ${sql.lit(at)})`;
  if (type === "bytes") return sql`decode(${value}, 'hex')`;
  return type === "integer" ? sql`${value}::bigint` : value;
}

/** The last number that a table's counted column was given, rows since removed included; 0 before the first. */
export async function readLastCounted(reader: Reader, { name, counted }: TableShape): Promise<number> {
  if (counted === undefined) return 0;
  const query =
    dialectOf(reader) === "sqlite"
      ? sql<{ last: number }>`select seq as last from sqlite_sequence where name = ${name}`
      : sql<{
          last: number;
        }>`select coalesce(pg_sequence_last_value(pg_get_serial_sequence(${name}, ${counted})), 0) as last`;
  const { rows } = await query.execute(reader);
  return rows[0]?.last ?? 0;
}

/** Has a table's numbers go on behind `last`. */
export async function continueCounting(tx: Tx, { name, counted }: TableShape, last: number): Promise<void> {
  if (counted === undefined || last === 0) return;
  if (dialectOf(tx) === "postgres") {
    await sql`select setval(pg_get_serial_sequence(${name}, ${counted}), ${sql.lit(last)})`.execute(tx);
    return;
  }
  await sql`delete from sqlite_sequence where name = ${name}`.execute(tx);
  await sql`insert into sqlite_sequence (name, seq) values (${name}, ${last})`.execute(tx);
}

const modulus = 1n << 128n;

/**
 * What a table's rows come to, in whatever order they are read and whichever
 * database they are in: their number, and the sum of their hashes (SHA-256, of
 * which 128 bits, modulo 2^128). Numbers of transactions do not count.
 */
export class RowDigest {
  readonly #left: number;
  #sum = 0n;
  #rows = 0;

  constructor({ columns }: TableShape) {
    this.#left = columns.findIndex(({ name }) => name === transactionColumn);
  }

  add(rows: readonly CarriedRow[]): void {
    for (const row of rows) {
      const text = JSON.stringify(this.#left < 0 ? row : row.toSpliced(this.#left, 1));
      const hash = createHash("sha256").update(text).digest();
      this.#sum = (this.#sum + ((hash.readBigUInt64BE(0) << 64n) | hash.readBigUInt64BE(8))) % modulus;
    }
    this.#rows += rows.length;
  }

  read(): { readonly rows: number; readonly digest: string } {
    return { rows: this.#rows, digest: this.#sum.toString(16).padStart(32, "0") };
  }
}
