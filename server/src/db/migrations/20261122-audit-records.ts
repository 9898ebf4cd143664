import { type Kysely, sql } from "kysely";
import type { Schema } from "../schema.ts";
import { columnTypes } from "./columns.ts";

type Db = Kysely<Schema>;

/**
 * The audit trail.
 *
 * `(xact, seq)` is the order of commits (`db/commit-order.ts`); `(at, seq)` is
 * the order of lists, and every index that serves a list ends with it. On
 * SQLite `seq` is the row's own id, which each index carries anyway.
 */
export async function up(database: Db, dialect: "sqlite" | "postgres"): Promise<void> {
  const { int8, strict } = columnTypes(dialect);
  const isSqlite = dialect === "sqlite";
  await database.schema
    .createTable("audit_records")
    .addColumn("seq", int8, (column) =>
      isSqlite ? column.primaryKey().autoIncrement() : column.notNull().generatedAlwaysAsIdentity(),
    )
    .addColumn("xact", int8, (column) =>
      column.notNull().defaultTo(isSqlite ? 0 : sql`pg_current_xact_id()::text::bigint`),
    )
    .addColumn("id", "text", (column) => column.notNull())
    .addColumn("at", int8, (column) => column.notNull())
    .addColumn("request_id", "text")
    .addColumn("actor_type", "text")
    .addColumn("actor_id", "text")
    .addColumn("credential_kind", "text")
    .addColumn("credential_id", "text")
    .addColumn("token_id", "text")
    .addColumn("action", "text", (column) => column.notNull())
    .addColumn("target_type", "text")
    .addColumn("target_id", "text")
    .addColumn("org_id", "text")
    .addColumn("result", "text", (column) => column.notNull())
    .addColumn("reason", "text")
    .addColumn("detail", "text")
    .addColumn("client_address", "text")
    .addColumn("user_agent", "text")
    .addColumn("details", "text")
    .$call((table) =>
      isSqlite ? table : table.addPrimaryKeyConstraint("audit_records_pkey", ["xact", "seq"]),
    )
    .$call(strict)
    .execute();
  await createIndex(database, "at", []);
  for (const columns of [["org_id"], ["org_id", "action"], ["actor_id"], ["target_id"], ["request_id"]]) {
    await createIndex(database, columns.join("_"), columns);
  }
}

async function createIndex(database: Db, name: string, columns: readonly string[]): Promise<void> {
  const [first] = columns;
  await database.schema
    .createIndex(`audit_records_${name}`)
    .on("audit_records")
    .columns([...columns, "at", "seq"])
    .$call((index) => (first === undefined ? index : index.where(sql.ref(first), "is not", null)))
    .execute();
}
