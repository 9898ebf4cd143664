import { type Kysely, sql } from "kysely";
import type { Schema } from "../schema.ts";
import { type ColumnTypes, columnTypes } from "./columns.ts";

type Db = Kysely<Schema>;

/** Organisations, service users with their credentials and usage, signing keys, key checks, the change feed. */
export async function up(database: Db, dialect: "sqlite" | "postgres"): Promise<void> {
  const types = columnTypes(dialect);
  await createOrganizations(database, types);
  await createServiceUsers(database, types);
  await createServiceUserCredentials(database, types);
  await createServiceUserUsage(database, types);
  await createKeys(database, types);
  await createChanges(database, types, dialect);
}

async function createOrganizations(database: Db, { int8, strict }: ColumnTypes): Promise<void> {
  await database.schema
    .createTable("organizations")
    .addColumn("id", "text", (column) => column.primaryKey().notNull())
    .addColumn("name", "text", (column) => column.notNull().unique())
    .addColumn("title", "text", (column) => column.notNull())
    .addColumn("metadata", "text", (column) => column.notNull())
    .addColumn("avatar", "text", (column) => column.notNull())
    .addColumn("state", "text", (column) => column.notNull())
    .addColumn("created_at", int8, (column) => column.notNull())
    .addColumn("updated_at", int8, (column) => column.notNull())
    .$call(strict)
    .execute();
}

async function createServiceUsers(database: Db, { int8, strict }: ColumnTypes): Promise<void> {
  await database.schema
    .createTable("service_users")
    .addColumn("id", "text", (column) => column.primaryKey().notNull())
    .addColumn("org_id", "text", (column) => column.notNull().references("organizations.id"))
    .addColumn("title", "text", (column) => column.notNull())
    .addColumn("metadata", "text", (column) => column.notNull())
    .addColumn("role", "text", (column) => column.notNull())
    .addColumn("state", "text", (column) => column.notNull())
    .addColumn("superuser", "integer", (column) => column.notNull())
    .addColumn("created_at", int8, (column) => column.notNull())
    .addColumn("updated_at", int8, (column) => column.notNull())
    .addColumn("last_used_at", int8)
    .$call(strict)
    .execute();
  await database.schema
    .createIndex("service_users_org_id")
    .on("service_users")
    .columns(["org_id", "id"])
    .execute();
}

async function createServiceUserCredentials(database: Db, { int8, strict }: ColumnTypes): Promise<void> {
  await database.schema
    .createTable("service_user_credentials")
    .addColumn("id", "text", (column) => column.primaryKey().notNull())
    .addColumn("service_user_id", "text", (column) =>
      column.notNull().references("service_users.id").onDelete("cascade"),
    )
    .addColumn("kind", "text", (column) => column.notNull())
    .addColumn("title", "text", (column) => column.notNull())
    .addColumn("secret_hash", "text")
    .addColumn("public_jwk", "text")
    .addColumn("bootstrap", "integer", (column) => column.notNull())
    .addColumn("created_at", int8, (column) => column.notNull())
    .addColumn("expires_at", int8)
    .addColumn("last_used_at", int8)
    .$call(strict)
    .execute();
  await database.schema
    .createIndex("service_user_credentials_service_user_id")
    .on("service_user_credentials")
    .columns(["service_user_id", "id"])
    .execute();
  await database.schema
    .createIndex("service_user_credentials_token_hash")
    .unique()
    .on("service_user_credentials")
    .column("secret_hash")
    .where(sql.ref("kind"), "=", sql.lit("token"))
    .execute();
}

/** No reference to the credential: counts that are written after its deletion must not fail the others. */
async function createServiceUserUsage(database: Db, { int8, strict }: ColumnTypes): Promise<void> {
  await database.schema
    .createTable("service_user_usage")
    .addColumn("service_user_id", "text", (column) => column.notNull())
    .addColumn("credential_id", "text", (column) => column.notNull())
    .addColumn("day", "text", (column) => column.notNull())
    .addColumn("calls", int8, (column) => column.notNull())
    .addPrimaryKeyConstraint("service_user_usage_pkey", ["service_user_id", "credential_id", "day"])
    .$call(strict)
    .execute();
  await database.schema
    .createIndex("service_user_usage_day")
    .on("service_user_usage")
    .columns(["day"])
    .execute();
}

async function createKeys(database: Db, { int8, strict }: ColumnTypes): Promise<void> {
  await database.schema
    .createTable("signing_keys")
    .addColumn("kid", "text", (column) => column.primaryKey().notNull())
    .addColumn("algorithm", "text", (column) => column.notNull())
    .addColumn("public_jwk", "text", (column) => column.notNull())
    .addColumn("sealed_private_key", "text", (column) => column.notNull())
    .addColumn("created_at", int8, (column) => column.notNull())
    .addColumn("signs_from_at", int8, (column) => column.notNull())
    .addColumn("retires_at", int8)
    .$call(strict)
    .execute();
  await database.schema
    .createTable("key_checks")
    .addColumn("purpose", "text", (column) => column.notNull())
    .addColumn("key_id", "text", (column) => column.notNull())
    .addColumn("check_value", "text", (column) => column.notNull())
    .addColumn("created_at", int8, (column) => column.notNull())
    .addPrimaryKeyConstraint("key_checks_pkey", ["purpose", "key_id"])
    .$call(strict)
    .execute();
}

/**
 * `seq` never repeats: SQLite's `autoincrement`, Postgres's identity. The index
 * serves pruning.
 */
async function createChanges(
  database: Db,
  types: ColumnTypes,
  dialect: "sqlite" | "postgres",
): Promise<void> {
  await database.schema
    .createTable("changes")
    .addColumn("seq", dialect === "sqlite" ? sql`integer` : sql`bigint`, (column) =>
      dialect === "sqlite"
        ? column.primaryKey().autoIncrement()
        : column.primaryKey().generatedAlwaysAsIdentity(),
    )
    .addColumn("topic", "text", (column) => column.notNull())
    .addColumn("subject", "text", (column) => column.notNull())
    .addColumn("created_at", types.int8, (column) => column.notNull())
    .$call(types.strict)
    .execute();
  await database.schema.createIndex("changes_created_at").on("changes").columns(["created_at"]).execute();
}
