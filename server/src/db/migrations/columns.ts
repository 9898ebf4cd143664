import { type CreateTableBuilder, type RawBuilder, sql } from "kysely";

/** What migrations need to know of the two databases. */
export interface ColumnTypes {
  /** Milliseconds since the epoch, or a counter. */
  readonly int8: RawBuilder<unknown>;
  /** Ends a `create table`: on SQLite tables refuse values of a wrong type (STRICT). */
  strict<T extends string, C extends string>(table: CreateTableBuilder<T, C>): CreateTableBuilder<T, C>;
}

/** Frozen like the migrations that use it. */
export function columnTypes(dialect: "sqlite" | "postgres"): ColumnTypes {
  if (dialect === "postgres") return { int8: sql`bigint`, strict: (table) => table };
  return { int8: sql`integer`, strict: (table) => table.modifyEnd(sql`strict`) };
}
