import type { Kysely } from "kysely";
import type { Schema } from "../schema.ts";
import { columnTypes } from "./columns.ts";

/** Counts behind the limits. The index serves those who learn what others counted, and pruning. */
export async function up(database: Kysely<Schema>, dialect: "sqlite" | "postgres"): Promise<void> {
  const { int8, strict } = columnTypes(dialect);
  await database.schema
    .createTable("rate_counts")
    .addColumn("key", "text", (column) => column.notNull())
    .addColumn("bucket_at", int8, (column) => column.notNull())
    .addColumn("count", int8, (column) => column.notNull())
    .addColumn("updated_at", int8, (column) => column.notNull())
    .addPrimaryKeyConstraint("rate_counts_pkey", ["key", "bucket_at"])
    .$call(strict)
    .execute();
  await database.schema
    .createIndex("rate_counts_updated_at")
    .on("rate_counts")
    .columns(["updated_at"])
    .execute();
}
