import type { Kysely } from "kysely";
import type { Schema } from "../schema.ts";
import { columnTypes } from "./columns.ts";

/** Which people have said that those who run a frontdoor may know who they are, though they do not belong to them. */
export async function up(database: Kysely<Schema>, dialect: "sqlite" | "postgres"): Promise<void> {
  const { int8, strict } = columnTypes(dialect);
  await database.schema
    .createTable("gate_confirmations")
    .addColumn("frontdoor_id", "text", (column) =>
      column.notNull().references("frontdoors.id").onDelete("cascade"),
    )
    .addColumn("user_id", "text", (column) => column.notNull().references("users.id").onDelete("cascade"))
    .addColumn("created_at", int8, (column) => column.notNull())
    .addPrimaryKeyConstraint("gate_confirmations_pkey", ["frontdoor_id", "user_id"])
    .$call(strict)
    .execute();
  await database.schema
    .createIndex("gate_confirmations_user_id")
    .on("gate_confirmations")
    .columns(["user_id"])
    .execute();
}
