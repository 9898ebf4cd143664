import type { Kysely } from "kysely";
import type { Schema } from "../schema.ts";
import { columnTypes } from "./columns.ts";

/** Invitations to sign up may be mailed as well. */
export async function up(database: Kysely<Schema>, dialect: "sqlite" | "postgres"): Promise<void> {
  const { int8 } = columnTypes(dialect);
  await database.schema.alterTable("invitations").addColumn("mail_due_at", int8).execute();
  await database.schema
    .alterTable("invitations")
    .addColumn("mail_attempts", int8, (column) => column.notNull().defaultTo(0))
    .execute();
  await database.schema
    .createIndex("invitations_mail_due_at")
    .on("invitations")
    .columns(["mail_due_at"])
    .execute();
}
