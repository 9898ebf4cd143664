import type { Kysely } from "kysely";
import type { Schema } from "../schema.ts";

/** What a proxy asks of a custom frontend: frontends from before are as if nothing had been said. */
export async function up(database: Kysely<Schema>): Promise<void> {
  for (const [column, value] of [
    ["authorization_use", "JUDGE"],
    ["scheme", "https"],
    ["assertion_header", ""],
  ] as const) {
    await database.schema
      .alterTable("custom_frontends")
      .addColumn(column, "text", (definition) => definition.notNull().defaultTo(value))
      .execute();
  }
}
