import { type RawBuilder, sql } from "kysely";
import type { Reader, Tx } from "../db/database.ts";
import type { RowKey, SealedColumn } from "./sealer.ts";

/** A row of a sealed column. */
export interface SealedRow {
  readonly key: RowKey;
  /** A sealed value, or a JSON object of them. */
  readonly sealed: string;
}

/** How sealed values begin that were sealed with a key. */
function toPrefix(keyId: string): string {
  return `v1.${keyId}.`;
}

/** `where`: a value of the row was sealed with none of these keys. */
function isSealedOtherwise(
  { column, byProperty }: SealedColumn,
  keyIds: readonly string[],
): RawBuilder<boolean> {
  const prefixes = keyIds.map(toPrefix);
  const name = sql.ref(column);
  if (byProperty === undefined) {
    const [length = 0] = prefixes.map((prefix) => prefix.length);
    return sql<boolean>`substr(${name}, 1, ${sql.lit(length)}) not in (${sql.join(prefixes)})`;
  }
  const rest = prefixes.reduce<RawBuilder<string>>(
    (text, prefix) => sql`replace(${text}, ${`"${prefix}`}, '')`,
    sql`${name}`,
  );
  return sql<boolean>`${rest} like '%"v1.%'`;
}

function keyOf({ keyColumns }: SealedColumn): RawBuilder<unknown> {
  return sql.join(keyColumns.map((name) => sql.ref(name)));
}

/** Up to `limit` rows after a key that hold a value sealed with another key than this one, in the order of keys. */
export async function findSealedOtherwise(
  reader: Reader,
  sealed: SealedColumn,
  keyId: string,
  { after, limit }: { readonly after: RowKey | undefined; readonly limit: number },
): Promise<SealedRow[]> {
  const key = keyOf(sealed);
  const isAfter = after === undefined ? sql`` : sql`and (${key}) > (${sql.join([...after])})`;
  const { rows } = await sql<Record<string, string | number>>`
    select ${key}, ${sql.ref(sealed.column)} from ${sql.table(sealed.table)}
    where ${isSealedOtherwise(sealed, [keyId])} ${isAfter}
    order by ${key} limit ${limit}`.execute(reader);
  return rows.map((row) => ({
    key: sealed.keyColumns.map((name) => row[name] ?? ""),
    sealed: String(row[sealed.column]),
  }));
}

/** Whether any row holds a value that was sealed with none of these keys. Reads the whole table. */
export async function isAnySealedOtherwise(
  reader: Reader,
  sealed: SealedColumn,
  keyIds: readonly string[],
): Promise<boolean> {
  const { rows } = await sql`
    select 1 from ${sql.table(sealed.table)} where ${isSealedOtherwise(sealed, keyIds)} limit 1`.execute(
    reader,
  );
  return rows.length > 0;
}

/** Puts a newly sealed value in the place of the one that was read; does nothing if that has changed or is gone. */
export async function replaceSealed(
  tx: Tx,
  { table, column, keyColumns }: SealedColumn,
  { key, sealed }: SealedRow,
  fresh: string,
): Promise<void> {
  const isRow = sql.join(
    keyColumns.map((name, at) => sql`${sql.ref(name)} = ${key[at]}`),
    sql` and `,
  );
  const name = sql.ref(column);
  await sql`update ${sql.table(table)} set ${name} = ${fresh} where ${isRow} and ${name} = ${sealed}`.execute(
    tx,
  );
}
