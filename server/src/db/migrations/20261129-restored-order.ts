import { type Kysely, sql } from "kysely";
import type { Schema } from "../schema.ts";
import { columnTypes } from "./columns.ts";

/**
 * What a restore must not set back unseen.
 *
 * `commit_order` is what a transaction's id is raised by before it is kept as a
 * place in the order of commits (`db/commit-order.ts`). A mark tells a change
 * of a frontdoor's providers from any other that ever had its number.
 */
export async function up(database: Kysely<Schema>, dialect: "sqlite" | "postgres"): Promise<void> {
  if (dialect === "postgres") {
    const { int8 } = columnTypes(dialect);
    await database.schema
      .createTable("commit_order")
      .addColumn("id", "integer", (column) => column.primaryKey().check(sql`id = 1`))
      .addColumn("raised_by", int8, (column) => column.notNull())
      .execute();
    await sql`insert into commit_order values (1, 0)`.execute(database);
  }
  for (const [table, column] of [
    ["frontdoors", "change_mark"],
    ["auth_provider_changes", "mark"],
  ] as const) {
    await database.schema
      .alterTable(table)
      .addColumn(column, "text", (definition) => definition.notNull().defaultTo(""))
      .execute();
  }
}
