import type { Kysely } from "kysely";
import type { Schema } from "../schema.ts";
import { columnTypes } from "./columns.ts";

/** Browsers that have signed in to an account. The index serves forgetting them. */
export async function up(database: Kysely<Schema>, dialect: "sqlite" | "postgres"): Promise<void> {
  const { int8, strict } = columnTypes(dialect);
  await database.schema
    .createTable("known_browsers")
    .addColumn("user_id", "text", (column) => column.notNull().references("users.id").onDelete("cascade"))
    .addColumn("key_hash", "text", (column) => column.notNull())
    .addColumn("seen_at", int8, (column) => column.notNull())
    .addPrimaryKeyConstraint("known_browsers_pkey", ["user_id", "key_hash"])
    .$call(strict)
    .execute();
  await database.schema
    .createIndex("known_browsers_seen_at")
    .on("known_browsers")
    .columns(["seen_at"])
    .execute();
}
