import type { Kysely } from "kysely";
import type { Schema } from "../schema.ts";
import { columnTypes } from "./columns.ts";

/** Clients that proved themselves, by the block of addresses they came from. The indexes serve forgetting them. */
export async function up(database: Kysely<Schema>, dialect: "sqlite" | "postgres"): Promise<void> {
  const { int8, strict } = columnTypes(dialect);
  await database.schema
    .createTable("known_clients")
    .addColumn("block", "text", (column) => column.notNull())
    .addColumn("client_id", "text", (column) => column.notNull())
    .addColumn("seen_at", int8, (column) => column.notNull())
    .addPrimaryKeyConstraint("known_clients_pkey", ["block", "client_id"])
    .$call(strict)
    .execute();
  await database.schema
    .createIndex("known_clients_seen_at")
    .on("known_clients")
    .columns(["seen_at"])
    .execute();
  await database.schema
    .createIndex("known_clients_client_id")
    .on("known_clients")
    .columns(["client_id", "seen_at"])
    .execute();
}
