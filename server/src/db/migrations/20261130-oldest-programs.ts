import type { Kysely } from "kysely";
import { migrationTable, type Schema } from "../schema.ts";

/**
 * With each migration, the version of the oldest program that may serve beside
 * it: kept here, for programs that do not know the migration itself. Null where
 * none of those may.
 */
export async function up(database: Kysely<Schema>): Promise<void> {
  await database.schema.alterTable(migrationTable).addColumn("beside", "text").execute();
}
