import type { Kysely } from "kysely";
import type { Schema } from "../schema.ts";

/**
 * Every session knows the companion of its cookie. Those from before have
 * none, and end.
 */
export async function up(database: Kysely<Schema>): Promise<void> {
  await database.deleteFrom("sessions").execute();
  await database.schema
    .alterTable("sessions")
    .addColumn("companion_hash", "text", (column) => column.notNull().defaultTo(""))
    .execute();
}
