import { type Kysely, sql } from "kysely";
import type { Schema } from "../schema.ts";
import { columnTypes } from "./columns.ts";

/** When the person of a session last proved themselves: until now that began another one. */
export async function up(database: Kysely<Schema>, dialect: "sqlite" | "postgres"): Promise<void> {
  const { int8 } = columnTypes(dialect);
  await database.schema
    .alterTable("sessions")
    .addColumn("authenticated_at", int8, (column) => column.notNull().defaultTo(0))
    .execute();
  await sql`update sessions set authenticated_at = created_at`.execute(database);
}
