/**
 * The tables as they are in the database that is open, whichever it is: what
 * carries rows from one to another reads this, and knows no table by name.
 */
import { sql } from "kysely";
import type { Reader } from "./database.ts";
import { dialectOf } from "./dialect.ts";
import { migrationTable } from "./schema.ts";

/** What a column keeps: text, a whole number, or bytes. */
export type ColumnType = "text" | "integer" | "bytes";

/** A column, and what it keeps. */
export interface ColumnShape {
  readonly name: string;
  readonly type: ColumnType;
}

/** A table and its columns. */
export interface TableShape {
  readonly name: string;
  /** By name, so that both databases have them in one order. */
  readonly columns: readonly ColumnShape[];
  /** Names of its primary key's columns, in their order. */
  readonly key: readonly string[];
  /** The column whose numbers the database hands out, if there is one. */
  readonly counted?: string;
}

/** What is each database's own, beside the tables of migrations: `commit_order` is found anew, `moves` says where it stands. */
const ownTables: ReadonlySet<string> = new Set([
  migrationTable,
  `${migrationTable}_lock`,
  "commit_order",
  "moves",
]);

/** A column as the catalogue of either database describes it. */
interface CatalogueRow {
  readonly table: string;
  readonly column: string;
  readonly type: string;
  /** Place in the primary key, from 1; 0 outside of it. */
  readonly key_place: number;
  readonly is_counted: number | boolean;
}

/** A table, and one that its rows refer to. */
interface ReferenceRow {
  readonly table: string;
  readonly to: string;
}

/**
 * All tables that hold rows of ours, those that are referred to before those
 * that refer.
 *
 * @throws Error for a column of a type that no migration uses
 */
export async function readTableShapes(reader: Reader): Promise<readonly TableShape[]> {
  const isSqlite = dialectOf(reader) === "sqlite";
  const [columns, references] = isSqlite
    ? [await readSqliteColumns(reader), await readSqliteReferences(reader)]
    : [await readPostgresColumns(reader), await readPostgresReferences(reader)];
  const byTable = Map.groupBy(
    columns.filter(({ table }) => !ownTables.has(table)),
    ({ table }) => table,
  );
  const shapes = [...byTable].map(([name, rows]) => toShape(name, rows));
  return inOrderOfReferences(shapes, references);
}

function toShape(name: string, rows: readonly CatalogueRow[]): TableShape {
  const counted = rows.find(({ is_counted }) => Boolean(is_counted))?.column;
  return {
    name,
    columns: rows
      .map(({ column, type }) => ({ name: column, type: toColumnType(name, column, type) }))
      .toSorted((one, other) => (one.name < other.name ? -1 : 1)),
    key: rows
      .filter(({ key_place }) => key_place > 0)
      .toSorted((one, other) => one.key_place - other.key_place)
      .map(({ column }) => column),
    ...(counted !== undefined && { counted }),
  };
}

function toColumnType(table: string, column: string, type: string): ColumnType {
  switch (type.toLowerCase()) {
    case "text":
      return "text";
    case "integer":
    case "bigint":
      return "integer";
    case "blob":
    case "bytea":
      return "bytes";
    default:
      throw new Error(`${table}.${column} is of the type ${type}, which is carried nowhere`);
  }
}

function inOrderOfReferences(
  shapes: readonly TableShape[],
  references: readonly ReferenceRow[],
): TableShape[] {
  const ordered = new Map<string, TableShape>();
  const add = (shape: TableShape): void => {
    if (ordered.has(shape.name)) return;
    for (const { table, to } of references) {
      const other = table === shape.name && to !== table ? shapes.find(({ name }) => name === to) : undefined;
      if (other !== undefined) add(other);
    }
    ordered.set(shape.name, shape);
  };
  for (const shape of shapes.toSorted((one, other) => (one.name < other.name ? -1 : 1))) add(shape);
  return [...ordered.values()];
}

async function readSqliteColumns(reader: Reader): Promise<readonly CatalogueRow[]> {
  const { rows } = await sql<CatalogueRow>`
    select t.name as "table", c.name as "column", c.type as type, c.pk as key_place,
      (c.pk = 1 and t.sql like '%autoincrement%') as is_counted
    from sqlite_schema t, pragma_table_info(t.name) c
    where t.type = 'table' and t.name not like 'sqlite~_%' escape '~'`.execute(reader);
  return rows;
}

async function readSqliteReferences(reader: Reader): Promise<readonly ReferenceRow[]> {
  const { rows } = await sql<ReferenceRow>`
    select t.name as "table", f."table" as "to"
    from sqlite_schema t, pragma_foreign_key_list(t.name) f where t.type = 'table'`.execute(reader);
  return rows;
}

async function readPostgresColumns(reader: Reader): Promise<readonly CatalogueRow[]> {
  const { rows } = await sql<CatalogueRow>`
    select t.relname as "table", a.attname as "column", format_type(a.atttypid, null) as type,
      coalesce(array_position(k.conkey, a.attnum), 0) as key_place, a.attidentity <> '' as is_counted
    from pg_class t
    join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
    left join pg_constraint k on k.conrelid = t.oid and k.contype = 'p'
    where t.relnamespace = current_schema()::regnamespace and t.relkind in ('r', 'p')`.execute(reader);
  return rows;
}

async function readPostgresReferences(reader: Reader): Promise<readonly ReferenceRow[]> {
  const { rows } = await sql<ReferenceRow>`
    select t.relname as "table", o.relname as "to"
    from pg_constraint f join pg_class t on t.oid = f.conrelid join pg_class o on o.oid = f.confrelid
    where f.contype = 'f' and t.relnamespace = current_schema()::regnamespace`.execute(reader);
  return rows;
}
