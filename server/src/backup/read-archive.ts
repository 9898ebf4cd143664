import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { createGunzip } from "node:zlib";
import { RowDigest } from "../db/carried-rows.ts";
import { type ArchiveEnd, type ArchiveHeader, type ArchiveRows, readHeader, readLine } from "./archive.ts";
import { BackupError } from "./errors.ts";
import type { OnProgress } from "./write-archive.ts";

/** Longest line in bytes: far more than rows that are read at once come to, and little enough to be held. */
const longestLine = 128 * 1024 * 1024;

/** Hears what is in a backup, in its order; a backup that ends well ends with its end. */
export interface ArchiveVisitor {
  onHeader?(header: ArchiveHeader): Promise<void> | void;
  onRows?(rows: ArchiveRows, header: ArchiveHeader): Promise<void> | void;
}

/** What was read. */
export interface ReadArchive {
  readonly header: ArchiveHeader;
  readonly end: ArchiveEnd;
}

/**
 * Reads a backup from its first line to its last, and holds what it reads
 * against the sums at its end. They tell what was damaged or cut; whoever can
 * write the file can write them too.
 *
 * @throws BackupError for what is no backup, or not all of one
 */
export async function readArchive(
  path: string,
  visitor: ArchiveVisitor,
  onProgress: OnProgress = () => {},
): Promise<ReadArchive> {
  const hash = createHash("sha256");
  const digests = new Map<string, RowDigest>();
  let header: ArchiveHeader | undefined;
  let end: ArchiveEnd | undefined;
  let read = 0;
  for await (const line of readLines(path)) {
    if (end !== undefined) throw new BackupError(`${path}: is damaged: something follows on its end`);
    if (header === undefined) {
      header = inFile(path, () => readHeader(line));
      for (const table of header.tables) digests.set(table.name, new RowDigest(table));
      hash.update(`${line}\n`);
      await visitor.onHeader?.(header);
      continue;
    }
    const item = inFile(path, () => readLine(line));
    if ("end" in item) {
      end = item.end;
      continue;
    }
    hash.update(`${line}\n`);
    const digest = digests.get(item.table);
    if (digest === undefined)
      throw new BackupError(`${path}: is damaged: it has rows of a table that its header has not`);
    digest.add(item.rows);
    await visitor.onRows?.(item, header);
    read += item.rows.length;
    onProgress(read);
  }
  if (header === undefined) throw new BackupError(`${path}: is empty`);
  if (end === undefined) throw new BackupError(`${path}: is cut short: its end is missing`);
  if (end.sha256 !== hash.digest("base64url")) throw toAltered(path);
  for (const [table, digest] of digests) {
    const found = digest.read();
    const said = end.tables[table];
    if (found.rows !== said?.rows || found.digest !== said.digest) throw toAltered(path, table);
  }
  return { header, end };
}

function toAltered(path: string, table?: string): BackupError {
  const where = table === undefined ? "" : ` in ${table}`;
  return new BackupError(`${path}: was altered${where}: it is not what its sums say`);
}

function inFile<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof BackupError)) throw error;
    throw new BackupError(`${path}: ${error.message}`);
  }
}

async function* readLines(path: string): AsyncGenerator<string> {
  const file = createReadStream(path);
  const gunzip = createGunzip();
  // What the file cannot be read for is to be told by what reads it.
  file.on("error", (error) => gunzip.destroy(error));
  file.pipe(gunzip);
  let parts: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of gunzip as AsyncIterable<Buffer>) {
      let start = 0;
      for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, start)) {
        parts.push(chunk.subarray(start, at));
        yield Buffer.concat(parts).toString("utf8");
        [parts, length, start] = [[], 0, at + 1];
      }
      parts.push(chunk.subarray(start));
      length += chunk.length - start;
      if (length > longestLine) throw new BackupError(`${path}: is damaged: a line has no end`);
    }
  } catch (error) {
    throw toReadError(path, error);
  } finally {
    file.destroy();
  }
  if (length > 0) throw new BackupError(`${path}: is cut short: its last line has no end`);
}

function toReadError(path: string, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  switch (code) {
    case "ENOENT":
      return new BackupError(`${path}: is not there`);
    case "Z_BUF_ERROR":
      return new BackupError(`${path}: is cut short`);
    case "Z_DATA_ERROR":
      return new BackupError(`${path}: is damaged, or no backup of vestibule`);
    default:
      if (error instanceof BackupError || code === undefined) return error;
      return new BackupError(`${path}: cannot be read, got ${code}`);
  }
}
