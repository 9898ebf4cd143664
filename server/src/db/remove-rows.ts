/** Removing some of a table's rows, so that one transaction takes no more than it was asked to. */
import { type Expression, type ExpressionBuilder, type Kysely, type SqlBool, sql } from "kysely";
import type { Tx } from "./database.ts";
import { dialectOf } from "./dialect.ts";
import type { Schema } from "./schema.ts";
import type { RemoveExpired } from "./sweep.ts";

type Column<T extends keyof Schema> = keyof Schema[T] & string;

/** Which rows of a table are removed. */
export interface Removal<T extends keyof Schema> {
  readonly table: T;
  /** Columns of a key that an index knows, by which rows are found again. */
  readonly key: readonly Column<T>[];
  /**
   * Asked when rows are chosen, and again as each is removed: on Postgres another
   * transaction may have changed it meanwhile, and then it stays.
   */
  readonly where: (eb: ExpressionBuilder<Schema, T>) => Expression<SqlBool>;
  /** Where some come before others: an indexed column, lowest first. */
  readonly orderBy?: Column<T>;
  /**
   * Whether rows that another transaction holds are left to it on Postgres, and
   * to the next sweep: sweeps of several processes then take different rows,
   * where each would wait for the other's and find them gone.
   */
  readonly leavesHeld?: boolean;
}

/** Removes up to `limit` rows in one statement, and answers how many there were. */
export async function removeRows<T extends keyof Schema>(
  tx: Tx,
  { table, key, where, orderBy, leavesHeld = false }: Removal<T>,
  limit: number,
): Promise<number> {
  // Kysely does not follow a table that is a parameter; that the columns are the table's says Removal.
  const database = tx as unknown as Kysely<Record<string, Record<string, unknown>>>;
  const condition = where as never;
  const all = database.selectFrom(table as string).select([...key]);
  const ordered = orderBy === undefined ? all : all.orderBy(orderBy);
  const free = ordered.where(condition).limit(limit);
  const chosen = leavesHeld && dialectOf(tx) === "postgres" ? free.forUpdate().skipLocked() : free;
  const columns = sql.join(key.map((column) => sql.ref(column)));
  const result = await database
    .deleteFrom(table as string)
    .where(sql<SqlBool>`(${columns}) in ${chosen}`)
    .where(condition)
    .executeTakeFirst();
  return Number(result.numDeletedRows);
}

/** Makes what removes a table's rows whose instant in an indexed column lies `keptMs` or more back, the oldest first. */
export function removeOld<T extends keyof Schema>(
  table: T,
  key: readonly Column<T>[],
  column: Column<T>,
  keptMs = 0,
): RemoveExpired {
  return (tx, now, limit) => {
    const isOld = sql<SqlBool>`${sql.ref(column)} <= ${now.getTime() - keptMs}`;
    return removeRows(tx, { table, key, where: () => isOld, orderBy: column, leavesHeld: true }, limit);
  };
}
