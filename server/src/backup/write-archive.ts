import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { WholeFileError, writeWholeFile } from "../config/whole-file.ts";
import { type CarriedRow, RowDigest, readLastCounted, readRows } from "../db/carried-rows.ts";
import type { Reader } from "../db/database.ts";
import type { ArchiveEnd, ArchiveHeader, TableEnd } from "./archive.ts";
import { BackupError } from "./errors.ts";

/** Hears how many rows are written by now. */
export type OnProgress = (rows: number) => void;

/**
 * Writes a backup of a snapshot. It has its name once all of it is on disk:
 * until then it lies beside it under another, and goes when something fails.
 * What one that was killed has left goes when the next one begins.
 *
 * @throws BackupError when the file is there, cannot be written, or another that is to be it began meanwhile
 */
export async function writeArchive(
  path: string,
  header: ArchiveHeader,
  reader: Reader,
  onProgress: OnProgress,
): Promise<ArchiveEnd> {
  let end: ArchiveEnd | undefined;
  async function* lines(): AsyncGenerator<string> {
    const hash = createHash("sha256");
    const toLine = (value: object) => {
      const line = `${JSON.stringify(value)}\n`;
      hash.update(line);
      return line;
    };
    yield toLine(header);
    const tables: Record<string, TableEnd> = {};
    let written = 0;
    for (const table of header.tables) {
      const digest = new RowDigest(table);
      for await (const rows of readRows(reader, table)) {
        digest.add(rows);
        yield toLine({ table: table.name, rows } satisfies { table: string; rows: readonly CarriedRow[] });
        written += rows.length;
        onProgress(written);
      }
      tables[table.name] = { ...digest.read(), last: await readLastCounted(reader, table) };
    }
    end = { tables, sha256: hash.digest("base64url") };
    yield `${JSON.stringify({ end })}\n`;
  }
  try {
    await writeWholeFile(path, (file) => pipeline(Readable.from(lines()), createGzip({ level: 3 }), file));
  } catch (error) {
    throw error instanceof WholeFileError ? new BackupError(error.message, { cause: error }) : error;
  }
  if (end === undefined) throw new Error("a backup without an end");
  return end;
}
