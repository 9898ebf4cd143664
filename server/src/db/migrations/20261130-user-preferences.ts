import type { Kysely } from "kysely";
import type { Schema } from "../schema.ts";
import { columnTypes } from "./columns.ts";

/** What people have chosen for themselves, by name. */
export async function up(database: Kysely<Schema>, dialect: "sqlite" | "postgres"): Promise<void> {
  const { int8, strict } = columnTypes(dialect);
  await database.schema
    .createTable("user_preferences")
    .addColumn("id", "text", (column) => column.notNull())
    .addColumn("user_id", "text", (column) => column.notNull().references("users.id").onDelete("cascade"))
    .addColumn("name", "text", (column) => column.notNull())
    .addColumn("value", "text", (column) => column.notNull())
    .addColumn("created_at", int8, (column) => column.notNull())
    .addColumn("updated_at", int8, (column) => column.notNull())
    .addPrimaryKeyConstraint("user_preferences_pkey", ["user_id", "name"])
    .$call(strict)
    .execute();
}
