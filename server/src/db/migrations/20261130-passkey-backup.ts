import type { Kysely } from "kysely";
import type { Schema } from "../schema.ts";

/** Whether a passkey that may be copied is (WebAuthn Level 3 §6.1.3); known from its next use on. */
export async function up(database: Kysely<Schema>): Promise<void> {
  await database.schema
    .alterTable("passkeys")
    .addColumn("backed_up", "integer", (column) => column.notNull().defaultTo(0))
    .execute();
}
