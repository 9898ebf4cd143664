/** What the migrations make of an empty SQLite file, for the bundle (`server/src/db/migrations/at-once.ts`). */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { migrate } from "../server/src/db/migrate.ts";
import { openDatabase } from "../server/src/db/open-database.ts";
import { migrationTable } from "../server/src/db/schema.ts";
import { silentLog } from "../server/src/lib/log.ts";

/**
 * Migrates an empty file and reads what is in it then: statements that make
 * the same of another one, which is migrated when they run.
 */
export async function recordSchema(): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "vestibule-build-"));
  try {
    const path = join(folder, "empty.db");
    const database = await openDatabase({ url: `sqlite:${path}`, log: silentLog, mayLoseLast: true });
    await migrate(database);
    await database.close();
    const file = new Sqlite(path, { readonly: true });
    const statements = [...listDefinitions(file), ...listRows(file)];
    file.close();
    return statements;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function listDefinitions(file: Sqlite.Database): string[] {
  return file
    .prepare<[], string>(
      "select sql from sqlite_schema where name not like 'sqlite~_%' escape '~' order by rowid",
    )
    .pluck()
    .all();
}

function listRows(file: Sqlite.Database): string[] {
  const tables = file
    .prepare<[], string>("select name from sqlite_schema where type = 'table'")
    .pluck()
    .all();
  return tables.flatMap((table) => {
    const rows = file.prepare<[], Record<string, unknown>>(`select * from "${table}"`).all();
    return rows.map((row) => {
      const values = Object.entries(row).map(([column, value]) =>
        table === migrationTable && column === "timestamp"
          ? "strftime('%Y-%m-%dT%H:%M:%fZ')"
          : toLiteral(value),
      );
      return `insert into "${table}" (${Object.keys(row).join(", ")}) values (${values.join(", ")})`;
    });
  });
}

function toLiteral(value: unknown): string {
  if (value === null || typeof value === "number") return String(value);
  if (typeof value === "string") return `'${value.replaceAll("'", "''")}'`;
  throw new Error("a migration has stored what is neither text nor a number");
}
