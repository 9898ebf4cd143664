import type { JsonColumn } from "../db/json-column.ts";
import type { Schema } from "../db/schema.ts";
import type { SealPlace, SealPurpose } from "./sealer.ts";

/** What names a row: the values of its primary key, in order. */
export type RowKey = readonly (string | number)[];

/**
 * A column that holds sealed values. Whoever seals into one declares it, takes
 * its places from it, and adds it to `sealed-columns.ts`: what is listed there
 * can be sealed anew under another key.
 */
export interface SealedColumn {
  readonly purpose: SealPurpose;
  readonly table: keyof Schema;
  readonly column: string;
  /** Columns of the primary key, in the order of {@link RowKey}. */
  readonly keyColumns: readonly string[];
  /** What names a row to the seal. One primary key of text is its own id. */
  readonly toRowId?: (key: RowKey) => string;
  /** Of a column that is a JSON object whose every property is a sealed value, sealed for that property. */
  readonly byProperty?: JsonColumn<Readonly<Record<string, string>>>;
}

/** The place of a value in a sealed column. @param property of a column that is sealed by property */
export function placeOf(sealed: SealedColumn, key: RowKey, property?: string): SealPlace {
  const { purpose, table, column, toRowId = ([only]) => String(only) } = sealed;
  return {
    purpose,
    table,
    rowId: toRowId(key),
    column: property === undefined ? column : `${column}.${property}`,
  };
}
