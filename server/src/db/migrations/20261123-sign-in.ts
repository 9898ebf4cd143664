import type { Kysely } from "kysely";
import type { Schema } from "../schema.ts";
import { type ColumnTypes, columnTypes } from "./columns.ts";

type Db = Kysely<Schema>;

/** Sign-ins on their way, sessions, identities at providers, invitations, and counts that must be exact. */
export async function up(database: Db, dialect: "sqlite" | "postgres"): Promise<void> {
  const types = columnTypes(dialect);
  await createFlows(database, types);
  await createSessions(database, types);
  await createIdentities(database, types);
  await createInvitations(database, types);
  await createRollingCounts(database, types);
}

/** No references: a flow lives for minutes, and ends with what it is bound to. */
async function createFlows(database: Db, { int8, strict }: ColumnTypes): Promise<void> {
  await database.schema
    .createTable("auth_flows")
    .addColumn("id", "text", (column) => column.primaryKey().notNull())
    .addColumn("state_hash", "text", (column) => column.notNull().unique())
    .addColumn("strategy", "text", (column) => column.notNull())
    .addColumn("browser_hash", "text", (column) => column.notNull())
    .addColumn("sealed_secret", "text", (column) => column.notNull())
    .addColumn("email", "text")
    .addColumn("callback_url", "text", (column) => column.notNull())
    .addColumn("return_to", "text")
    .addColumn("session_id", "text")
    .addColumn("attempts", int8, (column) => column.notNull())
    .addColumn("created_at", int8, (column) => column.notNull())
    .addColumn("expires_at", int8, (column) => column.notNull())
    .$call(strict)
    .execute();
  await database.schema
    .createIndex("auth_flows_expires_at")
    .on("auth_flows")
    .columns(["expires_at"])
    .execute();
}

async function createSessions(database: Db, { int8, strict }: ColumnTypes): Promise<void> {
  await database.schema
    .createTable("sessions")
    .addColumn("id", "text", (column) => column.primaryKey().notNull())
    .addColumn("secret_hash", "text", (column) => column.notNull().unique())
    .addColumn("user_id", "text", (column) => column.notNull().references("users.id").onDelete("cascade"))
    .addColumn("strategy", "text", (column) => column.notNull())
    .addColumn("operating_system", "text", (column) => column.notNull())
    .addColumn("browser", "text", (column) => column.notNull())
    .addColumn("ip_address", "text", (column) => column.notNull())
    .addColumn("city", "text", (column) => column.notNull())
    .addColumn("country", "text", (column) => column.notNull())
    .addColumn("latitude", "text", (column) => column.notNull())
    .addColumn("longitude", "text", (column) => column.notNull())
    .addColumn("created_at", int8, (column) => column.notNull())
    .addColumn("updated_at", int8, (column) => column.notNull())
    .addColumn("expires_at", int8, (column) => column.notNull())
    .$call(strict)
    .execute();
  await database.schema.createIndex("sessions_user_id").on("sessions").columns(["user_id", "id"]).execute();
  await database.schema.createIndex("sessions_expires_at").on("sessions").columns(["expires_at"]).execute();
}

async function createIdentities(database: Db, { int8, strict }: ColumnTypes): Promise<void> {
  await database.schema
    .createTable("identities")
    .addColumn("issuer", "text", (column) => column.notNull())
    .addColumn("subject", "text", (column) => column.notNull())
    .addColumn("user_id", "text", (column) => column.notNull().references("users.id").onDelete("cascade"))
    .addColumn("strategy", "text", (column) => column.notNull())
    .addColumn("email", "text", (column) => column.notNull())
    .addColumn("created_at", int8, (column) => column.notNull())
    .addPrimaryKeyConstraint("identities_pkey", ["issuer", "subject"])
    .$call(strict)
    .execute();
  await database.schema.createIndex("identities_user_id").on("identities").columns(["user_id"]).execute();
}

async function createInvitations(database: Db, { int8, strict }: ColumnTypes): Promise<void> {
  await database.schema
    .createTable("invitations")
    .addColumn("email", "text", (column) => column.primaryKey().notNull())
    .addColumn("created_at", int8, (column) => column.notNull())
    .$call(strict)
    .execute();
}

async function createRollingCounts(database: Db, { int8, strict }: ColumnTypes): Promise<void> {
  await database.schema
    .createTable("rolling_counts")
    .addColumn("key", "text", (column) => column.primaryKey().notNull())
    .addColumn("events", "text", (column) => column.notNull())
    .addColumn("expires_at", int8, (column) => column.notNull())
    .$call(strict)
    .execute();
  await database.schema
    .createIndex("rolling_counts_expires_at")
    .on("rolling_counts")
    .columns(["expires_at"])
    .execute();
}
