/**
 * Backups: all rows of one moment in one file, whichever database they are
 * from, for either database; with the keys if a passphrase seals them.
 *
 * The room carries tables by what the database says of them and knows none by
 * name, so that a table of tomorrow is in tomorrow's backup. It is used by the
 * command line alone; a server only shows when the last backup ended.
 */
import type { KeySettings } from "../config/data-dir.ts";
import { countRows } from "../db/carried-rows.ts";
import { dialectOf } from "../db/dialect.ts";
import { findAppliedNames } from "../db/migrate.ts";
import { findMove } from "../db/moves.ts";
import { readSnapshot } from "../db/snapshot.ts";
import { readTableShapes } from "../db/table-shapes.ts";
import type { Clock } from "../lib/clock.ts";
import { silentLog } from "../lib/log.ts";
import { version } from "../lib/version.ts";
import { type ArchiveHeader, formatVersion } from "./archive.ts";
import { BackupError } from "./errors.ts";
import { sealKeys } from "./sealed-keys.ts";
import { writeArchive } from "./write-archive.ts";

/** What a backup takes. */
export interface BackupOptions {
  /** Address of the database; servers on it may go on running. */
  readonly url: string;
  readonly path: string;
  /** Present where the keys go along. */
  readonly keys?: { readonly texts: KeySettings; readonly passphrase: string };
  readonly clock: Clock;
  /** Hears how many rows of about how many are written. */
  readonly onProgress: (rows: number, all: number) => void;
}

/** A backup that was made. */
export interface MadeBackup {
  /** Its moment: what was acknowledged before is in it. */
  readonly at: Date;
  readonly rows: number;
  readonly tables: number;
}

/**
 * Makes a backup. Everything that was acknowledged before it began is in it.
 *
 * @throws BackupError when there is nothing to back up, or the file cannot be written: none is there then
 */
export async function makeBackup(options: BackupOptions): Promise<MadeBackup> {
  const { url, path, keys, clock, onProgress } = options;
  const at = clock.now();
  const sealed = keys && (await sealKeys(keys.texts, keys.passphrase));
  const made = await readSnapshot({ url, log: silentLog }, async (reader) => {
    const migrations = await findAppliedNames(reader);
    if (migrations.length === 0) throw new BackupError("there is nothing to back up: the database is empty");
    if ((await findMove(reader))?.state === "arriving")
      throw new BackupError("there is nothing whole to back up: the database is a copy that is not finished");
    const tables = await readTableShapes(reader);
    const rows = await countRows(reader, tables);
    const header: ArchiveHeader = {
      vestibule_backup: formatVersion,
      created_at: at.toISOString(),
      version,
      database: dialectOf(reader),
      migrations,
      tables,
      rows,
      ...(sealed && { keys: sealed }),
    };
    const end = await writeArchive(path, header, reader, (written) => onProgress(written, rows));
    return {
      at,
      rows: Object.values(end.tables).reduce((sum, table) => sum + table.rows, 0),
      tables: tables.length,
    };
  });
  if (made === undefined) throw new BackupError("there is nothing to back up: there is no database yet");
  return made;
}
