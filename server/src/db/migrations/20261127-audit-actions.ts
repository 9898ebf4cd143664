import { type Kysely, sql } from "kysely";
import type { Schema } from "../schema.ts";

/**
 * Issued tokens are nearly all of a busy organization's records, so that the
 * list of all its records serves for them: the index by action does without.
 */
export async function up(database: Kysely<Schema>): Promise<void> {
  await database.schema.dropIndex("audit_records_org_id_action").execute();
  await database.schema
    .createIndex("audit_records_org_id_action")
    .on("audit_records")
    .columns(["org_id", "action", "at", "seq"])
    .where("org_id", "is not", null)
    .where("action", "<>", sql.lit("token.issue"))
    .execute();
}
