import { type Kysely, sql } from "kysely";
import type { Schema } from "../schema.ts";
import { columnTypes } from "./columns.ts";

/** People who are not found by their texts yet, since when: an import adds what they are found by afterwards. */
export async function up(database: Kysely<Schema>, dialect: "sqlite" | "postgres"): Promise<void> {
  const { int8 } = columnTypes(dialect);
  await database.schema
    .createTable("search_backlog")
    .addColumn("at", int8, (column) => column.notNull())
    .addColumn("id", "text", (column) => column.notNull())
    .addPrimaryKeyConstraint("search_backlog_pkey", ["at", "id"])
    .$call((table) => (dialect === "sqlite" ? table.modifyEnd(sql`strict, without rowid`) : table))
    .execute();
}
