import { type Kysely, sql } from "kysely";
import type { Schema } from "../schema.ts";
import { columnTypes } from "./columns.ts";

/** Names of organizations, and of projects in one, that are never given out again; those there are to begin with. */
export async function up(database: Kysely<Schema>, dialect: "sqlite" | "postgres"): Promise<void> {
  const { int8, strict } = columnTypes(dialect);
  await database.schema
    .createTable("organization_names")
    .addColumn("name", "text", (column) => column.primaryKey().notNull())
    .addColumn("org_id", "text", (column) => column.notNull())
    .addColumn("at", int8, (column) => column.notNull())
    .$call(strict)
    .execute();
  await sql`insert into organization_names (name, org_id, at) select name, id, created_at from organizations`.execute(
    database,
  );
  await database.schema
    .createTable("project_names")
    .addColumn("org_id", "text", (column) =>
      column.notNull().references("organizations.id").onDelete("cascade"),
    )
    .addColumn("name", "text", (column) => column.notNull())
    .addColumn("project_id", "text", (column) => column.notNull())
    .addColumn("at", int8, (column) => column.notNull())
    .addPrimaryKeyConstraint("project_names_pkey", ["org_id", "name"])
    .$call(strict)
    .execute();
  await sql`insert into project_names (org_id, name, project_id, at) select org_id, name, id, created_at from projects`.execute(
    database,
  );
}
