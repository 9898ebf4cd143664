import { type CarriedRow, writeRows } from "./carried-rows.ts";
import type { Tx } from "./database.ts";
import type { Schema } from "./schema.ts";
import type { ColumnType } from "./table-shapes.ts";

/** What columns keep, by their names. */
type Columns = Readonly<Record<string, ColumnType>>;

/** A new row of these columns. */
export type NewRow<C extends Columns> = { readonly [Name in keyof C]: CarriedRow[number] };

/**
 * Stores many new rows of one table in one statement: as one parameter, so that
 * a row costs what the database takes for it and little besides.
 *
 * @throws a unique violation when one of them is there; none is stored then.
 */
export async function insertRows<T extends keyof Schema, C extends Columns>(
  tx: Tx,
  name: T,
  columns: C & { readonly [Name in keyof C]: Name extends keyof Schema[T] ? ColumnType : never },
  rows: readonly NewRow<C>[],
): Promise<void> {
  if (rows.length === 0) return;
  const named = Object.entries<ColumnType>(columns).map(([column, type]) => ({ name: column, type }));
  const table = { name, columns: named, key: [] };
  await writeRows(
    tx,
    table,
    rows.map((row) => named.map((column) => row[column.name] ?? null)),
  );
}
