import type { Kysely } from "kysely";
import type { Schema } from "../schema.ts";
import { columnTypes } from "./columns.ts";

/** Frontdoors that are deleted for everybody, and whose contents are still to be removed. */
export async function up(database: Kysely<Schema>, dialect: "sqlite" | "postgres"): Promise<void> {
  const { int8 } = columnTypes(dialect);
  await database.schema.alterTable("frontdoors").addColumn("deleted_at", int8).execute();
  await database.schema
    .createIndex("frontdoors_deleted_at")
    .on("frontdoors")
    .column("deleted_at")
    .where("deleted_at", "is not", null)
    .execute();
}
