import type { Kysely } from "kysely";
import type { Schema } from "../schema.ts";
import { columnTypes } from "./columns.ts";

/**
 * Personal access tokens. What they hang on is the membership: whichever way
 * that ends, the token ends with it, and a later one brings none back.
 */
export async function up(database: Kysely<Schema>, dialect: "sqlite" | "postgres"): Promise<void> {
  const { int8, strict } = columnTypes(dialect);
  await database.schema
    .createTable("personal_tokens")
    .addColumn("id", "text", (column) => column.primaryKey().notNull())
    .addColumn("user_id", "text", (column) => column.notNull())
    .addColumn("org_id", "text", (column) => column.notNull())
    .addColumn("title", "text", (column) => column.notNull())
    .addColumn("title_key", "text", (column) => column.notNull())
    .addColumn("secret_hash", "text", (column) => column.notNull().unique())
    .addColumn("role", "text")
    .addColumn("project_role", "text")
    .addColumn("project_ids", "text", (column) => column.notNull())
    .addColumn("metadata", "text", (column) => column.notNull())
    .addColumn("created_at", int8, (column) => column.notNull())
    .addColumn("updated_at", int8, (column) => column.notNull())
    .addColumn("regenerated_at", int8)
    .addColumn("last_used_at", int8)
    .addColumn("unused_mail_due_at", int8)
    .addColumn("expires_at", int8, (column) => column.notNull())
    .addUniqueConstraint("personal_tokens_title", ["user_id", "org_id", "title_key"])
    .addForeignKeyConstraint(
      "personal_tokens_membership",
      ["org_id", "user_id"],
      "memberships",
      ["org_id", "user_id"],
      (constraint) => constraint.onDelete("cascade"),
    )
    .$call(strict)
    .execute();
  for (const columns of [["org_id", "user_id"], ["unused_mail_due_at"], ["expires_at"]]) {
    await database.schema
      .createIndex(`personal_tokens_${columns[0]}`)
      .on("personal_tokens")
      .columns(columns)
      .execute();
  }
}
