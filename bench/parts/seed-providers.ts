/** Fills a stopped server's frontdoor with providers, past the server. */
import { join } from "node:path";
import Sqlite from "better-sqlite3";

/** Names of the seeded: `app-` and seven digits, in another order than they were made in. */
export const namePrefix = "app-";

/**
 * Providers of all types, a quarter of each disabled, with the revision and
 * the counts that the server would have kept.
 *
 * @param count a power of ten
 */
export function seedProviders(dataDir: string, frontdoorId: string, count: number, now: number): void {
  const database = new Sqlite(join(dataDir, "vestibule.db"));
  database.pragma("journal_mode = off");
  database.pragma("synchronous = off");
  database.pragma("cache_size = -1000000");
  // Factors that have nothing in common with powers of ten: each deals every number out once.
  const dealt = (factor: number) => `(i * ${factor} % ${count})`;
  const id = "printf('01900000-0000-7000-8000-%012x', i)";
  const name = `printf('${namePrefix}%07d', ${dealt(7919)})`;
  const enabled = "i % 4 != 0";
  const type =
    'json_extract(\'["OIDC","GOOGLE","GITHUB","API_KEY","JWT","VESTIBULE"]\', \'$[\' || (i % 6) || \']\')';
  const at = (factor: number) => `${now - 2 * count} + ${dealt(factor)}`;
  database.exec(`
    create temp table numbers (i integer primary key);
    insert into numbers with recursive counting(i) as (
      select 0 union all select i + 1 from counting where i < ${count - 1}) select i from counting;
    insert into auth_providers
      (id, frontdoor_id, name, type, enabled, revision, change_seq, created_at, updated_at)
      select ${id}, '${frontdoorId}', ${name}, ${type}, ${enabled}, 1, 0, ${at(1)}, ${at(104729)} from numbers;
    insert into auth_provider_revisions
      (provider_id, revision, name, enabled, data, sealed_secrets, change, changes, author_type, author_id,
        created_at)
      select id, 1, name, enabled, '{}', '{}', 'create', '[]', 'serviceuser', '', created_at
      from auth_providers where frontdoor_id = '${frontdoorId}';
    insert into auth_provider_counts (frontdoor_id, type, enabled, count)
      select frontdoor_id, type, enabled, count(*) from auth_providers
      where frontdoor_id = '${frontdoorId}' group by frontdoor_id, type, enabled;
  `);
  database.pragma("journal_mode = wal");
  database.pragma("wal_checkpoint(truncate)");
  database.close();
}

/** The row in the middle of a list, where a cursor would stand after half of its pages. */
export function findMiddle(
  dataDir: string,
  column: string,
  filter: string,
): { readonly value: string | number; readonly id: string } {
  const database = new Sqlite(join(dataDir, "vestibule.db"), { readonly: true });
  const { count } = database
    .prepare(`select count(*) as count from auth_providers where ${filter}`)
    .get() as {
    count: number;
  };
  const row = database
    .prepare(
      `select ${column} as value, id from auth_providers where ${filter}
       order by ${column}, id limit 1 offset ${Math.floor(count / 2)}`,
    )
    .get() as { value: string | number; id: string };
  database.close();
  return row;
}
