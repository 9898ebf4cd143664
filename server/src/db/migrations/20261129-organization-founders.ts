import type { Kysely } from "kysely";
import type { Schema } from "../schema.ts";

/** Who made an organization: what all of one person's organizations may use is bounded together. */
export async function up(database: Kysely<Schema>): Promise<void> {
  await database.schema
    .alterTable("organizations")
    .addColumn("created_by", "text", (column) => column.notNull().defaultTo(""))
    .execute();
}
