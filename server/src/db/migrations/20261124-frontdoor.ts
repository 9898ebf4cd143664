import { type Kysely, sql } from "kysely";
import type { Schema } from "../schema.ts";
import { type ColumnTypes, columnTypes } from "./columns.ts";

type Db = Kysely<Schema>;

/**
 * Frontdoors, auth providers with their revisions, keys and changes, and
 * custom frontends.
 *
 * Names and types sort by code point on both databases (`sorted`): lists, page
 * tokens and prefixes depend on it.
 */
export async function up(database: Db, dialect: "sqlite" | "postgres"): Promise<void> {
  const types = columnTypes(dialect);
  const sorted = dialect === "postgres" ? sql`text collate "C"` : sql`text`;
  await createFrontdoors(database, types);
  await createProviders(database, types, sorted);
  await createRevisions(database, types);
  await createCounts(database, types);
  await createChanges(database, types);
  await createApiKeys(database, types);
  await createFrontends(database, types, sorted);
  await createIdempotencyKeys(database, types);
}

async function createFrontdoors(database: Db, { int8, strict }: ColumnTypes): Promise<void> {
  await database.schema
    .createTable("frontdoors")
    .addColumn("id", "text", (column) => column.primaryKey().notNull())
    .addColumn("org_id", "text", (column) =>
      column.notNull().references("organizations.id").onDelete("cascade"),
    )
    .addColumn("name", "text", (column) => column.notNull())
    .addColumn("change_seq", int8, (column) => column.notNull())
    .addColumn("created_at", int8, (column) => column.notNull())
    .addColumn("updated_at", int8, (column) => column.notNull())
    .$call(strict)
    .execute();
  await database.schema.createIndex("frontdoors_org_id").on("frontdoors").columns(["org_id", "id"]).execute();
}

/**
 * Every list is read from one index in its order, or merged from the few
 * ranges of type and enabled: see `frontdoor/providers/list-store.ts`.
 */
async function createProviders(
  database: Db,
  { int8, strict }: ColumnTypes,
  sorted: ReturnType<typeof sql>,
): Promise<void> {
  await database.schema
    .createTable("auth_providers")
    .addColumn("id", "text", (column) => column.primaryKey().notNull())
    .addColumn("frontdoor_id", "text", (column) =>
      column.notNull().references("frontdoors.id").onDelete("cascade"),
    )
    .addColumn("name", sorted, (column) => column.notNull())
    .addColumn("type", sorted, (column) => column.notNull())
    .addColumn("enabled", "integer", (column) => column.notNull())
    .addColumn("revision", "integer", (column) => column.notNull())
    .addColumn("change_seq", int8, (column) => column.notNull())
    .addColumn("created_at", int8, (column) => column.notNull())
    .addColumn("updated_at", int8, (column) => column.notNull())
    .addUniqueConstraint("auth_providers_name", ["frontdoor_id", "name"])
    .$call(strict)
    .execute();
  // Each has all that a list shows: rows in another order than they were made in are far apart.
  const indexes = {
    id: ["id"],
    list_name: ["name", "id", "type", "enabled"],
    created_at: ["created_at", "id", "name", "type", "enabled"],
    updated_at: ["updated_at", "id", "name", "type", "enabled"],
    group_id: ["type", "enabled", "id", "name"],
    group_name: ["type", "enabled", "name", "id"],
    group_created_at: ["type", "enabled", "created_at", "id", "name"],
    group_updated_at: ["type", "enabled", "updated_at", "id", "name"],
  };
  for (const [name, columns] of Object.entries(indexes)) {
    await database.schema
      .createIndex(`auth_providers_${name}`)
      .on("auth_providers")
      .columns(["frontdoor_id", ...columns])
      .execute();
  }
}

async function createRevisions(database: Db, { int8, strict }: ColumnTypes): Promise<void> {
  await database.schema
    .createTable("auth_provider_revisions")
    .addColumn("provider_id", "text", (column) =>
      column.notNull().references("auth_providers.id").onDelete("cascade"),
    )
    .addColumn("revision", "integer", (column) => column.notNull())
    .addColumn("name", "text", (column) => column.notNull())
    .addColumn("enabled", "integer", (column) => column.notNull())
    .addColumn("data", "text", (column) => column.notNull())
    .addColumn("sealed_secrets", "text", (column) => column.notNull())
    .addColumn("change", "text", (column) => column.notNull())
    .addColumn("restored_revision", "integer")
    .addColumn("changes", "text", (column) => column.notNull())
    .addColumn("author_type", "text", (column) => column.notNull())
    .addColumn("author_id", "text", (column) => column.notNull())
    .addColumn("created_at", int8, (column) => column.notNull())
    .addPrimaryKeyConstraint("auth_provider_revisions_pkey", ["provider_id", "revision"])
    .$call(strict)
    .execute();
}

/** Kept in the transactions that change providers: exact, and at most twelve rows of a frontdoor. */
async function createCounts(database: Db, { int8, strict }: ColumnTypes): Promise<void> {
  await database.schema
    .createTable("auth_provider_counts")
    .addColumn("frontdoor_id", "text", (column) =>
      column.notNull().references("frontdoors.id").onDelete("cascade"),
    )
    .addColumn("type", "text", (column) => column.notNull())
    .addColumn("enabled", "integer", (column) => column.notNull())
    .addColumn("count", int8, (column) => column.notNull())
    .addPrimaryKeyConstraint("auth_provider_counts_pkey", ["frontdoor_id", "type", "enabled"])
    .$call(strict)
    .execute();
}

/** No reference to the provider: its deletion is a change too. */
async function createChanges(database: Db, { int8, strict }: ColumnTypes): Promise<void> {
  await database.schema
    .createTable("auth_provider_changes")
    .addColumn("frontdoor_id", "text", (column) =>
      column.notNull().references("frontdoors.id").onDelete("cascade"),
    )
    .addColumn("seq", int8, (column) => column.notNull())
    .addColumn("event", "text", (column) => column.notNull())
    .addColumn("provider_id", "text", (column) => column.notNull())
    .addColumn("revision", "integer", (column) => column.notNull())
    .addColumn("payload", "text", (column) => column.notNull())
    .addColumn("created_at", int8, (column) => column.notNull())
    .addPrimaryKeyConstraint("auth_provider_changes_pkey", ["frontdoor_id", "seq"])
    .$call(strict)
    .execute();
  await database.schema
    .createIndex("auth_provider_changes_created_at")
    .on("auth_provider_changes")
    .columns(["created_at"])
    .execute();
}

async function createApiKeys(database: Db, { int8, strict }: ColumnTypes): Promise<void> {
  await database.schema
    .createTable("auth_provider_api_keys")
    .addColumn("id", "text", (column) => column.primaryKey().notNull())
    .addColumn("provider_id", "text", (column) =>
      column.notNull().references("auth_providers.id").onDelete("cascade"),
    )
    .addColumn("title", "text", (column) => column.notNull())
    .addColumn("key_hash", "text", (column) => column.notNull().unique())
    .addColumn("created_at", int8, (column) => column.notNull())
    .addColumn("expires_at", int8, (column) => column.notNull())
    .addColumn("last_used_at", int8)
    .$call(strict)
    .execute();
  await database.schema
    .createIndex("auth_provider_api_keys_provider_id")
    .on("auth_provider_api_keys")
    .columns(["provider_id", "id"])
    .execute();
  await database.schema
    .createIndex("auth_provider_api_keys_expires_at")
    .on("auth_provider_api_keys")
    .columns(["expires_at"])
    .execute();
}

async function createFrontends(
  database: Db,
  { int8, strict }: ColumnTypes,
  sorted: ReturnType<typeof sql>,
): Promise<void> {
  await database.schema
    .createTable("custom_frontends")
    .addColumn("id", "text", (column) => column.primaryKey().notNull())
    .addColumn("frontdoor_id", "text", (column) =>
      column.notNull().references("frontdoors.id").onDelete("cascade"),
    )
    .addColumn("hostname", sorted, (column) => column.notNull())
    .addColumn("policy", "text", (column) => column.notNull())
    .addColumn("created_at", int8, (column) => column.notNull())
    .addColumn("updated_at", int8, (column) => column.notNull())
    .addUniqueConstraint("custom_frontends_hostname", ["frontdoor_id", "hostname"])
    .$call(strict)
    .execute();
  await database.schema
    .createIndex("custom_frontends_frontdoor_id")
    .on("custom_frontends")
    .columns(["frontdoor_id", "id"])
    .execute();
  await database.schema
    .createTable("custom_frontend_providers")
    .addColumn("frontend_id", "text", (column) =>
      column.notNull().references("custom_frontends.id").onDelete("cascade"),
    )
    .addColumn("position", "integer", (column) => column.notNull())
    .addColumn("provider_id", "text", (column) =>
      column.notNull().references("auth_providers.id").onDelete("cascade"),
    )
    .addPrimaryKeyConstraint("custom_frontend_providers_pkey", ["frontend_id", "position"])
    .$call(strict)
    .execute();
  await database.schema
    .createIndex("custom_frontend_providers_provider_id")
    .on("custom_frontend_providers")
    .columns(["provider_id"])
    .execute();
}

async function createIdempotencyKeys(database: Db, { int8, strict }: ColumnTypes): Promise<void> {
  await database.schema
    .createTable("idempotency_keys")
    .addColumn("caller_id", "text", (column) => column.notNull())
    .addColumn("frontdoor_id", "text", (column) =>
      column.notNull().references("frontdoors.id").onDelete("cascade"),
    )
    .addColumn("key", "text", (column) => column.notNull())
    .addColumn("sealed_request", "text", (column) => column.notNull())
    .addColumn("answer", "text", (column) => column.notNull())
    .addColumn("expires_at", int8, (column) => column.notNull())
    .addPrimaryKeyConstraint("idempotency_keys_pkey", ["caller_id", "frontdoor_id", "key"])
    .$call(strict)
    .execute();
  await database.schema
    .createIndex("idempotency_keys_frontdoor_id")
    .on("idempotency_keys")
    .columns(["frontdoor_id"])
    .execute();
  await database.schema
    .createIndex("idempotency_keys_expires_at")
    .on("idempotency_keys")
    .columns(["expires_at"])
    .execute();
}
