import { type Kysely, sql } from "kysely";
import type { Schema } from "../schema.ts";

/**
 * The disabled are listed by an index of them alone. The enabled are nearly all
 * there are: a list of them reads people in the order of ids, and no index of
 * theirs has to be kept for each.
 */
export async function up(database: Kysely<Schema>): Promise<void> {
  await database.schema.dropIndex("users_state").execute();
  await database.schema
    .createIndex("users_disabled")
    .on("users")
    .column("id")
    .where(sql.ref("state"), "=", "disabled")
    .execute();
}
