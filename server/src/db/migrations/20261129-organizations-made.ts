import type { Kysely } from "kysely";
import type { Schema } from "../schema.ts";

/** What a person made is found, to be counted: see `created_by`. */
export async function up(database: Kysely<Schema>): Promise<void> {
  await database.schema
    .createIndex("organizations_by_founder")
    .on("organizations")
    .column("created_by")
    .execute();
}
