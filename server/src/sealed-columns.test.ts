import { sql } from "kysely";
import { expect, test } from "vitest";
import { createEmptyDatabase } from "../../test/parts/databases.ts";
import { migrate } from "./db/migrate.ts";
import { openDatabase } from "./db/open-database.ts";
import { silentLog } from "./lib/log.ts";
import { sealedColumns } from "./sealed-columns.ts";

interface Column {
  readonly table: string;
  readonly column: string;
  readonly pk: number;
}

test("every column that is named as sealed is listed, with the whole primary key of its table", async () => {
  const place = await createEmptyDatabase("sqlite");
  const database = await openDatabase({ url: place.url, log: silentLog });
  try {
    await migrate(database);
    const { rows } = await sql<Column>`
      select m.name as "table", c.name as "column", c.pk
      from sqlite_schema m join pragma_table_info(m.name) c
      where m.type = 'table' order by m.name, c.pk`.execute(database.reader);
    const sealed = rows.filter(({ column }) => column.startsWith("sealed_"));
    const keyOf = (name: string) =>
      rows.filter(({ table, pk }) => table === name && pk > 0).map(({ column }) => column);
    const found = sealed.map(({ table, column }) => ({ table, column, keyColumns: keyOf(table) }));
    const listed = sealedColumns.map(({ table, column, keyColumns }) => ({ table, column, keyColumns }));
    expect(listed.toSorted((a, b) => (a.table < b.table ? -1 : 1))).toEqual(found);
    expect(new Set(sealedColumns.map(({ purpose }) => purpose)).size).toBe(sealedColumns.length);
  } finally {
    await database.close();
    await place.drop();
  }
});
