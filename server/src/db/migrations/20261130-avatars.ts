import { type Kysely, sql } from "kysely";
import type { Schema } from "../schema.ts";
import { columnTypes } from "./columns.ts";

/** Pictures that were handed over; the indexes tell who has one, and leave out URLs of any length. */
export async function up(database: Kysely<Schema>, dialect: "sqlite" | "postgres"): Promise<void> {
  const { int8, strict } = columnTypes(dialect);
  await database.schema
    .createTable("avatars")
    .addColumn("hash", "text", (column) => column.primaryKey().notNull())
    .addColumn("media_type", "text", (column) => column.notNull())
    .addColumn("content", "text", (column) => column.notNull())
    .addColumn("kept_at", int8, (column) => column.notNull())
    .$call(strict)
    .execute();
  for (const table of ["users", "organizations"] as const) {
    await database.schema
      .createIndex(`${table}_avatar`)
      .on(table)
      .column("avatar")
      .where(sql<boolean>`avatar like '/avatars/%'`)
      .execute();
  }
}
