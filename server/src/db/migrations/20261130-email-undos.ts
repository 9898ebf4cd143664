import { type Kysely, sql } from "kysely";
import type { Schema } from "../schema.ts";
import { columnTypes } from "./columns.ts";

/**
 * Changes of address that can be undone, until when one cannot be made, and
 * which identity gave an account its address. Flows are found by theirs.
 */
export async function up(database: Kysely<Schema>, dialect: "sqlite" | "postgres"): Promise<void> {
  const { int8, strict } = columnTypes(dialect);
  await database.schema
    .createTable("email_undos")
    .addColumn("id", "text", (column) => column.primaryKey().notNull())
    .addColumn("user_id", "text", (column) => column.notNull().references("users.id").onDelete("cascade"))
    .addColumn("email", "text", (column) => column.notNull())
    .addColumn("token_hash", "text", (column) => column.notNull().unique())
    .addColumn("changed_at", int8, (column) => column.notNull())
    .addColumn("expires_at", int8, (column) => column.notNull())
    .$call(strict)
    .execute();
  for (const column of ["user_id", "email", "expires_at"]) {
    await database.schema.createIndex(`email_undos_${column}`).on("email_undos").columns([column]).execute();
  }
  await database.schema
    .alterTable("users")
    .addColumn("email_fixed_until", int8, (column) => column.notNull().defaultTo(0))
    .execute();
  await database.schema
    .alterTable("identities")
    .addColumn("gave_email", int8, (column) => column.notNull().defaultTo(0))
    .execute();
  await database.schema
    .createIndex("auth_flows_email")
    .on("auth_flows")
    .columns(["email"])
    .where(sql.ref("email"), "is not", null)
    .execute();
}
