import type { Kysely } from "kysely";
import type { Schema } from "../schema.ts";
import { columnTypes } from "./columns.ts";

/** Who is asked into an organization by mail, and which mails were sent for it. */
export async function up(database: Kysely<Schema>, dialect: "sqlite" | "postgres"): Promise<void> {
  const { int8, strict } = columnTypes(dialect);
  await database.schema
    .createTable("organization_invitations")
    .addColumn("id", "text", (column) => column.primaryKey().notNull())
    .addColumn("org_id", "text", (column) =>
      column.notNull().references("organizations.id").onDelete("cascade"),
    )
    .addColumn("email", "text", (column) => column.notNull())
    .addColumn("role", "text", (column) => column.notNull())
    .addColumn("project_ids", "text", (column) => column.notNull())
    .addColumn("token_hash", "text")
    .addColumn("invited_by_type", "text", (column) => column.notNull())
    .addColumn("invited_by_id", "text", (column) => column.notNull())
    .addColumn("by_superuser", int8, (column) => column.notNull())
    .addColumn("created_at", int8, (column) => column.notNull())
    .addColumn("sent_at", int8)
    .addColumn("expires_at", int8, (column) => column.notNull())
    .addColumn("mail_due_at", int8)
    .addColumn("mail_attempts", int8, (column) => column.notNull())
    .addUniqueConstraint("organization_invitations_address", ["org_id", "email"])
    .$call(strict)
    .execute();
  await createIndex(database, "organization_invitations", ["email"]);
  await createIndex(database, "organization_invitations", ["invited_by_id"]);
  await createIndex(database, "organization_invitations", ["expires_at"]);
  await createIndex(database, "organization_invitations", ["mail_due_at"]);
  await database.schema
    .createTable("invitation_mails")
    .addColumn("id", "text", (column) => column.primaryKey().notNull())
    .addColumn("mailbox_hash", "text", (column) => column.notNull())
    .addColumn("org_id", "text", (column) => column.notNull())
    .addColumn("sender_id", "text", (column) => column.notNull())
    .addColumn("at", int8, (column) => column.notNull())
    .$call(strict)
    .execute();
  await createIndex(database, "invitation_mails", ["mailbox_hash", "at"]);
  await createIndex(database, "invitation_mails", ["org_id", "at"]);
  await createIndex(database, "invitation_mails", ["sender_id", "at"]);
  await createIndex(database, "invitation_mails", ["at"]);
}

async function createIndex(
  database: Kysely<Schema>,
  table: "organization_invitations" | "invitation_mails",
  columns: readonly string[],
): Promise<void> {
  await database.schema
    .createIndex(`${table}_${columns[0]}`)
    .on(table)
    .columns([...columns])
    .execute();
}
