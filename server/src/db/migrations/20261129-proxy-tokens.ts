import type { Kysely } from "kysely";
import type { Schema } from "../schema.ts";
import { columnTypes } from "./columns.ts";

/** What proxies prove themselves with at the gate of a frontdoor. */
export async function up(database: Kysely<Schema>, dialect: "sqlite" | "postgres"): Promise<void> {
  const { int8, strict } = columnTypes(dialect);
  await database.schema
    .createTable("proxy_tokens")
    .addColumn("id", "text", (column) => column.primaryKey().notNull())
    .addColumn("frontdoor_id", "text", (column) =>
      column.notNull().references("frontdoors.id").onDelete("cascade"),
    )
    .addColumn("title", "text", (column) => column.notNull())
    .addColumn("token_hash", "text", (column) => column.notNull().unique())
    .addColumn("created_at", int8, (column) => column.notNull())
    .addColumn("last_used_at", int8)
    .$call(strict)
    .execute();
  await database.schema
    .createIndex("proxy_tokens_frontdoor_id")
    .on("proxy_tokens")
    .columns(["frontdoor_id", "id"])
    .execute();
}
