import type { Kysely } from "kysely";
import type { Schema } from "../schema.ts";
import { columnTypes } from "./columns.ts";

/**
 * Sessions of people at custom frontends, and since which revision of its
 * provider one counts. Without references to what they are for, but for the
 * session that one is a child of: what goes with a frontend, a provider or a
 * frontdoor may be much, and is removed in steps.
 */
export async function up(database: Kysely<Schema>, dialect: "sqlite" | "postgres"): Promise<void> {
  const { int8, strict } = columnTypes(dialect);
  await database.schema
    .alterTable("auth_providers")
    .addColumn("sessions_from", int8, (column) => column.notNull().defaultTo(1))
    .execute();
  await database.schema
    .createTable("gate_sessions")
    .addColumn("id", "text", (column) => column.primaryKey().notNull())
    .addColumn("secret_hash", "text", (column) => column.notNull().unique())
    .addColumn("frontdoor_id", "text", (column) => column.notNull())
    .addColumn("frontend_id", "text", (column) => column.notNull())
    .addColumn("host", "text", (column) => column.notNull())
    .addColumn("provider_id", "text", (column) => column.notNull())
    .addColumn("provider_revision", int8, (column) => column.notNull())
    .addColumn("subject", "text", (column) => column.notNull())
    .addColumn("parent_id", "text", (column) => column.references("sessions.id").onDelete("cascade"))
    .addColumn("identity", "text")
    .addColumn("sid", "text")
    .addColumn("sealed_kept", "text")
    .addColumn("renew_at", int8)
    .addColumn("renewal_id", "text")
    .addColumn("renewal_until", int8, (column) => column.notNull().defaultTo(0))
    .addColumn("device", "text", (column) => column.notNull())
    .addColumn("created_at", int8, (column) => column.notNull())
    .addColumn("last_used_at", int8, (column) => column.notNull())
    .addColumn("expires_at", int8, (column) => column.notNull())
    .$call(strict)
    .execute();
  for (const columns of [
    ["frontdoor_id", "id"],
    ["frontend_id"],
    ["provider_id", "subject", "id"],
    ["provider_id", "sid"],
    ["parent_id", "id"],
    ["expires_at"],
  ] as const) {
    await database.schema
      .createIndex(`gate_sessions_${columns.join("_")}`)
      .on("gate_sessions")
      .columns([...columns])
      .execute();
  }
}
