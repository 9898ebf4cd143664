import { createHash, randomBytes } from "node:crypto";
import { createWriteStream, existsSync, linkSync, readdirSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { flushFolder } from "../config/key-file.ts";
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
  removeDrafts(path);
  if (existsSync(path)) throw isThere(path);
  const draft = `${path}.${randomBytes(6).toString("hex")}.partial`;
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
    const file = createWriteStream(draft, { flags: "wx", mode: 0o600, flush: true });
    await pipeline(Readable.from(lines()), createGzip({ level: 3 }), file);
    giveName(draft, path);
    flushFolder(dirname(resolve(path)));
  } catch (error) {
    removeDraft(draft);
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (code === undefined || syscall === undefined) throw error;
    throw new BackupError(`${path}: cannot be written, got ${code}; nothing is left of it`, { cause: error });
  }
  if (end === undefined) throw new Error("a backup without an end");
  return end;
}

function isThere(path: string): BackupError {
  return new BackupError(`${path}: is there already; backups are not overwritten`);
}

/** A link fails if the name was taken meanwhile; some file systems know none, as those of other machines. */
function giveName(draft: string, path: string): void {
  try {
    linkSync(draft, path);
    rmSync(draft, { force: true });
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (syscall !== "link") throw error;
    if (code === "EEXIST" || existsSync(path)) throw isThere(path);
    if (code === "ENOENT") {
      throw new BackupError(`${path}: another backup into it began meanwhile, and this one gave way`);
    }
    renameSync(draft, path);
  }
}

/** Nobody can tell whether somebody still writes one: whose draft goes gives way. */
function removeDrafts(path: string): void {
  const [folder, prefix] = [dirname(path), `${basename(path)}.`];
  const isDraft = (name: string) =>
    name.startsWith(prefix) && /^[0-9a-f]{12}\.partial$/.test(name.slice(prefix.length));
  for (const name of listNames(folder).filter(isDraft)) removeDraft(join(folder, name));
}

/** None where it cannot be listed: what that means is told by writing into it. */
function listNames(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** What kept it from being written may keep it from being removed: there may be none. */
function removeDraft(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {}
}
