import { type Kysely, sql } from "kysely";
import type { Schema } from "../schema.ts";
import { type Searchable, type SearchKind, updateSearch } from "../search-prefixes.ts";

type Db = Kysely<Schema>;

/**
 * People and organizations are found by how their texts begin, and listed by
 * state; what superusers say of people: a reason why somebody is shut out, and
 * an address that they gave.
 */
export async function up(database: Db, dialect: "sqlite" | "postgres"): Promise<void> {
  await addColumns(database);
  await database.schema
    .createTable("search_prefixes")
    .addColumn("kind", "text", (column) => column.notNull())
    .addColumn("prefix", "text", (column) => column.notNull())
    .addColumn("id", "text", (column) => column.notNull())
    .addPrimaryKeyConstraint("search_prefixes_pkey", ["kind", "prefix", "id"])
    // The key is all there is of a row.
    .$call((table) => (dialect === "sqlite" ? table.modifyEnd(sql`strict, without rowid`) : table))
    .execute();
  for (const table of ["users", "organizations"] as const) {
    await database.schema.createIndex(`${table}_state`).on(table).columns(["state", "id"]).execute();
  }
  await fill(database);
}

async function addColumns(database: Db): Promise<void> {
  await database.schema
    .alterTable("users")
    .addColumn("email_given", "integer", (column) => column.notNull().defaultTo(0))
    .execute();
  await database.schema
    .alterTable("users")
    .addColumn("disabled_reason", "text", (column) => column.notNull().defaultTo(""))
    .execute();
}

/** What has been there before is found as well. */
async function fill(database: Db): Promise<void> {
  const selectUsers = database.selectFrom("users").select(["id", "state", "name", "title", "email"]);
  await fillKind(database, "user", (afterId) =>
    selectUsers.where("id", ">", afterId).orderBy("id").limit(1000).execute(),
  );
  const selectOrganizations = database.selectFrom("organizations").select(["id", "state", "name", "title"]);
  await fillKind(database, "organization", (afterId) =>
    selectOrganizations.where("id", ">", afterId).orderBy("id").limit(1000).execute(),
  );
}

type Row = Pick<Searchable, "id" | "state"> & {
  readonly name: string;
  readonly title: string;
  readonly email?: string;
};

async function fillKind(
  database: Db,
  kind: SearchKind,
  find: (afterId: string) => Promise<Row[]>,
): Promise<void> {
  for (let rows = await find(""); rows.length > 0; rows = await find(rows.at(-1)?.id ?? "")) {
    for (const { id, state, name, title, email = "" } of rows) {
      await updateSearch(database as never, kind, undefined, { id, state, texts: [email, name, title] });
    }
  }
}
