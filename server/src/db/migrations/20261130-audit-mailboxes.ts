import { type Kysely, sql } from "kysely";
import type { Schema } from "../schema.ts";
import { columnTypes } from "./columns.ts";

/** Records that are about a mailbox are found by a hash of it, and the key that makes it has a row. */
export async function up(database: Kysely<Schema>, dialect: "sqlite" | "postgres"): Promise<void> {
  const { strict } = columnTypes(dialect);
  await database.schema
    .createTable("audit_keys")
    .addColumn("id", "text", (column) => column.primaryKey().notNull())
    .addColumn("sealed_key", "text", (column) => column.notNull())
    .$call(strict)
    .execute();
  await database.schema.alterTable("audit_records").addColumn("mailbox_hash", "text").execute();
  await database.schema
    .createIndex("audit_records_mailbox_hash")
    .on("audit_records")
    .columns(["mailbox_hash", "at", "seq"])
    .where(sql.ref("mailbox_hash"), "is not", null)
    .execute();
}
