import type { Kysely } from "kysely";
import type { Schema } from "../schema.ts";
import { columnTypes } from "./columns.ts";

/** How often API keys came in at frontends whose policy bounds it. The index serves forgetting. */
export async function up(database: Kysely<Schema>, dialect: "sqlite" | "postgres"): Promise<void> {
  const { int8, strict } = columnTypes(dialect);
  await database.schema
    .createTable("api_key_uses")
    .addColumn("frontend_id", "text", (column) => column.notNull())
    .addColumn("key_id", "text", (column) => column.notNull())
    .addColumn("per_seconds", "integer", (column) => column.notNull())
    .addColumn("window_at", int8, (column) => column.notNull())
    .addColumn("count", int8, (column) => column.notNull())
    .addColumn("ends_at", int8, (column) => column.notNull())
    .addPrimaryKeyConstraint("api_key_uses_pkey", ["frontend_id", "key_id", "per_seconds", "window_at"])
    .$call(strict)
    .execute();
  await database.schema.createIndex("api_key_uses_ends_at").on("api_key_uses").columns(["ends_at"]).execute();
}
