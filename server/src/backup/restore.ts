/** Putting a backup into a place where there is nothing yet: all of it or nothing. */
import { isDeepStrictEqual } from "node:util";
import { continueCounting, removeAllRows, withoutTransactions, writeRows } from "../db/carried-rows.ts";
import type { Reader, Tx } from "../db/database.ts";
import { findMigrations, isEmptyInside, migrateInside } from "../db/migrate.ts";
import { openDatabase } from "../db/open-database.ts";
import { readTableShapes, type TableShape } from "../db/table-shapes.ts";
import { silentLog } from "../lib/log.ts";
import type { ArchiveHeader } from "./archive.ts";
import { BackupError } from "./errors.ts";
import { type ReadArchive, readArchive } from "./read-archive.ts";

/** What a restore takes. */
export interface RestoreOptions {
  readonly path: string;
  /** Address of the database, which has no tables. On SQLite the caller keeps servers off the file. */
  readonly url: string;
  /** Whether everybody has to sign in again: sessions, what is under way, and every access token end. */
  readonly endsSessions: boolean;
  /** Holds the keys against what is restored, before it counts. What it throws is thrown, and nothing is restored. */
  readonly verifyKeys: (reader: Reader) => Promise<void>;
  /** Hears how many rows of about how many are there. */
  readonly onProgress: (rows: number, all: number) => void;
}

/**
 * What ends with `endsSessions`. Without signing keys no access token is good,
 * and the next start makes new ones.
 */
const sessionTables = ["gate_sessions", "sessions", "auth_flows", "sent_codes", "signing_keys"] as const;

/**
 * Restores a backup in one transaction, and brings its schema up to date.
 *
 * @throws BackupError for what is no whole backup, or where there are tables already
 * @throws DatabaseRefusedError for a backup of a newer version
 */
export async function restoreBackup(options: RestoreOptions): Promise<ReadArchive> {
  const { url, path, endsSessions, verifyKeys } = options;
  // Statements and transactions may take as long as they need.
  const times = { statementTimeoutMs: 0, idleTransactionMs: 0 };
  const database = await openDatabase({ url, log: silentLog, poolSize: 2, ...times });
  try {
    return await database.transaction(async (tx) => {
      if (!(await isEmptyInside(tx))) {
        throw new BackupError(
          "the database has tables already: restore into an empty one, and start a server on that",
        );
      }
      const restored = await fill(tx, database.dialect, path, options);
      if (endsSessions) for (const table of sessionTables) await tx.deleteFrom(table).execute();
      await migrateInside(tx);
      await verifyKeys(tx);
      return restored;
    });
  } finally {
    await database.close();
  }
}

async function fill(
  tx: Tx,
  dialect: "sqlite" | "postgres",
  path: string,
  { onProgress }: Pick<RestoreOptions, "onProgress">,
): Promise<ReadArchive> {
  let shapes: readonly TableShape[] = [];
  let isSameKind = false;
  let all = 0;
  const restored = await readArchive(
    path,
    {
      async onHeader(header) {
        await migrateInside(tx, findMigrations(header.migrations));
        shapes = await readTableShapes(tx);
        requireSameShapes(path, header, shapes);
        isSameKind = dialect === "postgres" && header.database === "postgres";
        all = header.rows;
        // What migrations put there is in the backup as well.
        await removeAllRows(tx, shapes);
      },
      async onRows({ table, rows }) {
        const shape = shapes.find(({ name }) => name === table);
        if (shape === undefined) throw new BackupError(`${path}: is damaged: there is no table ${table}`);
        await writeRows(tx, shape, isSameKind ? rows : withoutTransactions(shape, rows));
      },
    },
    (rows) => onProgress(rows, all),
  );
  for (const shape of shapes) await continueCounting(tx, shape, restored.end.tables[shape.name]?.last ?? 0);
  return restored;
}

function requireSameShapes(path: string, { tables }: ArchiveHeader, shapes: readonly TableShape[]): void {
  if (isDeepStrictEqual(toNames(tables), toNames(shapes))) return;
  throw new BackupError(`${path}: was altered: its tables are not those of the version that it names`);
}

function toNames(tables: readonly TableShape[]): Readonly<Record<string, readonly string[]>> {
  return Object.fromEntries(
    tables.map(({ name, columns }) => [name, columns.map((column) => `${column.name} ${column.type}`)]),
  );
}
