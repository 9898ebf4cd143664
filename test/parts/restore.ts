/** What `pg_dump` and `psql` do to a database, for a test that has neither: schema by migrations, then the rows. */
import pg from "pg";
import { migrate } from "../../server/src/db/migrate.ts";
import { openDatabase } from "../../server/src/db/open-database.ts";
import { silentLog } from "../../server/src/lib/log.ts";

/**
 * Makes an empty Postgres database what another one is: tables, rows, where
 * their sequences and defaults stand. Nothing that the cluster itself counts.
 */
export async function restorePostgres(fromUrl: string, toUrl: string): Promise<void> {
  const database = await openDatabase({ url: toUrl, log: silentLog });
  await migrate(database);
  await database.close();
  const [from, to] = [new pg.Client(fromUrl), new pg.Client(toUrl)];
  await Promise.all([from.connect(), to.connect()]);
  try {
    // Rows in any order, whatever they refer to.
    await to.query("set session_replication_role = replica");
    const { rows: tables } = await from.query<{ name: string }>(
      "select table_name as name from information_schema.tables where table_schema = 'public'",
    );
    for (const { name } of tables) {
      const { rows } = await from.query(`select coalesce(json_agg(t), '[]')::text as all from ${name} as t`);
      await to.query(`delete from ${name}`);
      const copy = `insert into ${name} overriding system value select * from json_populate_recordset(null::${name}, $1)`;
      await to.query(copy, [rows[0].all]);
    }
    const { rows: defaults } = await from.query<Record<"name" | "column" | "text", string>>(
      `select table_name as name, column_name as column, column_default as text
       from information_schema.columns where table_schema = 'public' and column_default is not null`,
    );
    for (const each of defaults) {
      await to.query(`alter table ${each.name} alter column ${each.column} set default ${each.text}`);
    }
    const { rows: sequences } = await from.query<{ name: string; last: string | null }>(
      "select sequencename as name, last_value as last from pg_sequences where schemaname = 'public'",
    );
    for (const { name, last } of sequences)
      if (last !== null) await to.query("select setval($1, $2)", [name, last]);
  } finally {
    await Promise.all([from.end(), to.end()]);
  }
}
