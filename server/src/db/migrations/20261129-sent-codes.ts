import type { Kysely } from "kysely";
import type { Schema } from "../schema.ts";
import { columnTypes } from "./columns.ts";

/** Codes of identity providers that have been sent to a token endpoint, by any process. */
export async function up(database: Kysely<Schema>, dialect: "sqlite" | "postgres"): Promise<void> {
  const { int8, strict } = columnTypes(dialect);
  await database.schema
    .createTable("sent_codes")
    .addColumn("code_hash", "text", (column) => column.primaryKey().notNull())
    .addColumn("expires_at", int8, (column) => column.notNull())
    .$call(strict)
    .execute();
  await database.schema
    .createIndex("sent_codes_expires_at")
    .on("sent_codes")
    .columns(["expires_at"])
    .execute();
}
