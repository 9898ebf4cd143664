/** A database with rows in every table, whichever tables there are, and all that is in one to compare it by. */
import {
  type CarriedRow,
  continueCounting,
  removeAllRows,
  writeRows,
} from "../../server/src/db/carried-rows.ts";
import { migrate } from "../../server/src/db/migrate.ts";
import { openDatabase } from "../../server/src/db/open-database.ts";
import type { Schema } from "../../server/src/db/schema.ts";
import { readTableShapes, type TableShape } from "../../server/src/db/table-shapes.ts";
import { silentLog } from "../../server/src/lib/log.ts";

const strange = 'ü\u2028"\\\n\u{1F511}؜';

/** The last number that {@link fillDatabase} has every counted column hand out. */
export const lastCounted = 41;

/** Rows whose texts are all alike, so that whatever refers finds what it refers to. */
function toRows({ columns, key }: TableShape): CarriedRow[] {
  const count = columns.some(({ name, type }) => key.includes(name) && name === "id" && type === "integer")
    ? 1
    : 2;
  return Array.from({ length: count }, (_, row) =>
    columns.map(({ type }) =>
      type === "text" ? `${row} ${strange}` : type === "bytes" ? `00ff0${row}` : row + 1,
    ),
  );
}

/** Makes the tables of an empty database and puts one row or two into each. */
export async function fillDatabase(url: string): Promise<void> {
  const database = await openDatabase({ url, log: silentLog });
  await migrate(database);
  await database.transaction(async (tx) => {
    const shapes = await readTableShapes(tx);
    await removeAllRows(tx, shapes);
    for (const shape of shapes) await writeRows(tx, shape, toRows(shape));
    // Numbers that were handed out to rows which are gone.
    for (const shape of shapes) await continueCounting(tx, shape, lastCounted);
  });
  await database.close();
}

/** Every row of every table, transactions' numbers left out. */
export async function readAllRows(url: string): Promise<Record<string, string[]>> {
  const database = await openDatabase({ url, log: silentLog });
  const all: Record<string, string[]> = {};
  for (const { name } of await readTableShapes(database.reader)) {
    const rows = await database.reader
      .selectFrom(name as keyof Schema)
      .selectAll()
      .execute();
    const texts = rows.map((row) => JSON.stringify(Object.entries({ ...row, xact: undefined }).toSorted()));
    all[name] = texts.toSorted();
  }
  await database.close();
  return all;
}
