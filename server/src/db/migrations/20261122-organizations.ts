import type { Kysely } from "kysely";
import type { Schema } from "../schema.ts";
import { type ColumnTypes, columnTypes } from "./columns.ts";

type Db = Kysely<Schema>;

/** Users, memberships, projects and who can see them. */
export async function up(database: Db, dialect: "sqlite" | "postgres"): Promise<void> {
  const types = columnTypes(dialect);
  await createUsers(database, types);
  await createMemberships(database, types);
  await createProjects(database, types);
  await createProjectMembers(database, types);
}

async function createUsers(database: Db, { int8, strict }: ColumnTypes): Promise<void> {
  await database.schema
    .createTable("users")
    .addColumn("id", "text", (column) => column.primaryKey().notNull())
    .addColumn("name", "text", (column) => column.notNull().unique())
    .addColumn("title", "text", (column) => column.notNull())
    .addColumn("email", "text", (column) => column.notNull().unique())
    .addColumn("email_proven", "integer", (column) => column.notNull())
    .addColumn("passkey_handle", "text", (column) => column.notNull().unique())
    .addColumn("metadata", "text", (column) => column.notNull())
    .addColumn("avatar", "text", (column) => column.notNull())
    .addColumn("state", "text", (column) => column.notNull())
    .addColumn("created_at", int8, (column) => column.notNull())
    .addColumn("updated_at", int8, (column) => column.notNull())
    .$call(strict)
    .execute();
}

async function createMemberships(database: Db, { int8, strict }: ColumnTypes): Promise<void> {
  await database.schema
    .createTable("memberships")
    .addColumn("org_id", "text", (column) =>
      column.notNull().references("organizations.id").onDelete("cascade"),
    )
    .addColumn("user_id", "text", (column) => column.notNull().references("users.id").onDelete("cascade"))
    .addColumn("role", "text", (column) => column.notNull())
    .addColumn("created_at", int8, (column) => column.notNull())
    .addPrimaryKeyConstraint("memberships_pkey", ["org_id", "user_id"])
    .$call(strict)
    .execute();
  await database.schema
    .createIndex("memberships_user_id")
    .on("memberships")
    .columns(["user_id", "org_id"])
    .execute();
}

async function createProjects(database: Db, { int8, strict }: ColumnTypes): Promise<void> {
  await database.schema
    .createTable("projects")
    .addColumn("id", "text", (column) => column.primaryKey().notNull())
    .addColumn("org_id", "text", (column) =>
      column.notNull().references("organizations.id").onDelete("cascade"),
    )
    .addColumn("name", "text", (column) => column.notNull())
    .addColumn("title", "text", (column) => column.notNull())
    .addColumn("metadata", "text", (column) => column.notNull())
    .addColumn("created_at", int8, (column) => column.notNull())
    .addColumn("updated_at", int8, (column) => column.notNull())
    .addUniqueConstraint("projects_org_id_name", ["org_id", "name"])
    .$call(strict)
    .execute();
  await database.schema.createIndex("projects_org_id").on("projects").columns(["org_id", "id"]).execute();
}

async function createProjectMembers(database: Db, { int8, strict }: ColumnTypes): Promise<void> {
  await database.schema
    .createTable("project_members")
    .addColumn("project_id", "text", (column) =>
      column.notNull().references("projects.id").onDelete("cascade"),
    )
    .addColumn("principal_type", "text", (column) => column.notNull())
    .addColumn("principal_id", "text", (column) => column.notNull())
    .addColumn("created_at", int8, (column) => column.notNull())
    .addPrimaryKeyConstraint("project_members_pkey", ["project_id", "principal_type", "principal_id"])
    .$call(strict)
    .execute();
  await database.schema
    .createIndex("project_members_principal")
    .on("project_members")
    .columns(["principal_type", "principal_id", "project_id"])
    .execute();
}
