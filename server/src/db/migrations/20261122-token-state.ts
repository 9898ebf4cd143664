import type { Kysely } from "kysely";
import type { Schema } from "../schema.ts";
import { columnTypes } from "./columns.ts";

/** Access tokens that were revoked before their time, and assertions that have been used. */
export async function up(database: Kysely<Schema>, dialect: "sqlite" | "postgres"): Promise<void> {
  const { int8, strict } = columnTypes(dialect);
  for (const [table, key] of [
    ["revoked_tokens", "jti"],
    ["used_assertions", "id"],
  ] as const) {
    await database.schema
      .createTable(table)
      .addColumn(key, "text", (column) => column.primaryKey().notNull())
      .addColumn("expires_at", int8, (column) => column.notNull())
      .$call(strict)
      .execute();
    await database.schema.createIndex(`${table}_expires_at`).on(table).columns(["expires_at"]).execute();
  }
}
