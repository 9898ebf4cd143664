import type { Kysely } from "kysely";
import type { Schema } from "../schema.ts";
import { columnTypes } from "./columns.ts";

/** The public halves of passkeys. */
export async function up(database: Kysely<Schema>, dialect: "sqlite" | "postgres"): Promise<void> {
  const { int8, strict } = columnTypes(dialect);
  await database.schema
    .createTable("passkeys")
    .addColumn("id", "text", (column) => column.primaryKey().notNull())
    .addColumn("user_id", "text", (column) => column.notNull().references("users.id").onDelete("cascade"))
    .addColumn("credential_id", "text", (column) => column.notNull().unique())
    .addColumn("public_key", "text", (column) => column.notNull())
    .addColumn("counter", int8, (column) => column.notNull())
    .addColumn("transports", "text", (column) => column.notNull())
    .addColumn("synced", "integer", (column) => column.notNull())
    .addColumn("name", "text", (column) => column.notNull())
    .addColumn("created_at", int8, (column) => column.notNull())
    .addColumn("last_used_at", int8)
    .$call(strict)
    .execute();
  await database.schema.createIndex("passkeys_user_id").on("passkeys").columns(["user_id", "id"]).execute();
}
