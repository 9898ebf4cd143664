import { type Kysely, sql } from "kysely";
import type { Schema } from "../schema.ts";
import { columnTypes } from "./columns.ts";

/** When the last backup was made, in the one row there is. */
export async function up(database: Kysely<Schema>, dialect: "sqlite" | "postgres"): Promise<void> {
  const { int8, strict } = columnTypes(dialect);
  await database.schema
    .createTable("last_backup")
    .addColumn("id", "integer", (column) => column.primaryKey().check(sql`id = 1`))
    .addColumn("at", int8, (column) => column.notNull())
    .addColumn("ended_at", int8, (column) => column.notNull())
    .$call(strict)
    .execute();
}
