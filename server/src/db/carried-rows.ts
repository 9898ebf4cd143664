/**
 * Rows as they are carried from one database to another: all columns of a
 * table, in the order of its shape, as JSON has them; bytes in hexadecimal.
 */
import { createHash } from "node:crypto";
import { sql } from "kysely";
import type { Reader, Tx } from "./database.ts";
import { dialectOf } from "./dialect.ts";
import type { ColumnShape, TableShape } from "./table-shapes.ts";

/** A row's values in the order of its table's columns. */
export type CarriedRow = readonly (string | number | null)[];

/**
 * The column that keeps Postgres's own number of a transaction, which means
 * nothing in another database (`commit-order.ts`).
 */
export const transactionColumn = "xact";

/** How many rows are read at once at most, and at first. */
const [mostPerPage, firstPage] = [500, 20];

/** How much of them, in characters, is as much as is wanted at once: some rows are as large as a request may be. */
const pageCharacters = 4 * 1024 * 1024;

/**
 * All rows of a table in the order of its primary key, some at a time: no more
 * than {@link pageCharacters}, or one row that is larger. What is read belongs
 * together only within a snapshot (`snapshot.ts`).
 */
export async function* readRows(reader: Reader, table: TableShape): AsyncGenerator<readonly CarriedRow[]> {
  const { name, columns, key } = table;
  const places = key.map((column) => columns.findIndex((each) => each.name === column));
  const selected = sql.join(columns.map(toSelected(dialectOf(reader))));
  const by = sql.join(key.map((column) => sql.ref(column)));
  let after: CarriedRow | undefined;
  let limit = firstPage;
  for (;;) {
    const where = after === undefined ? sql`` : sql`where (${by}) > (${sql.join(after)})`;
    const query = sql<Record<string, string | number | null>>`
      select ${selected} from ${sql.table(name)} ${where} order by ${by} limit ${sql.lit(limit)}`;
    const { rows } = await query.execute(reader);
    const page = rows.map((row) => columns.map((column) => row[column.name] ?? null));
    const parts = [...inParts(page)];
    yield* parts;
    if (page.length < limit) return;
    const last = page.at(-1) ?? [];
    after = places.map((place) => last[place] ?? null);
    limit = parts.length > 1 ? Math.ceil(limit / parts.length) : Math.min(mostPerPage, limit * 2);
  }
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

function toSelected(dialect: "sqlite" | "postgres") {
  return ({ name, type }: ColumnShape) => {
    const column = sql.ref(name);
    if (type !== "bytes") return column;
    return dialect === "sqlite"
      ? sql`lower(hex(${column})) as ${column}`
      : sql`encode(${column}, 'hex') as ${column}`;
  };
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
  const { name, columns, counted } = table;
  const isSqlite = dialectOf(tx) === "sqlite";
  const names = sql.join(columns.map((column) => sql.ref(column.name)));
  const values = sql.join(
    columns.map((column, at) => (isSqlite ? toSqlite(column, at) : toPostgres(column, at))),
  );
  const list = JSON.stringify(rows);
  const each = isSqlite ? sql`json_each(${list}) as r` : sql`json_array_elements(${list}::json) as r(value)`;
  const overriding = !isSqlite && counted !== undefined ? sql`overriding system value` : sql``;
  await sql`insert into ${sql.table(name)} (${names}) ${overriding} select ${values} from ${each}`.execute(
    tx,
  );
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
