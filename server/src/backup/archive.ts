/**
 * The file of a backup: gzip over lines of JSON, so that it can be looked into
 * with `zcat`. The first line says what is in it, the last whether that is all
 * of it; between them are rows, some of one table a line.
 */
import type { CarriedRow } from "../db/carried-rows.ts";
import type { TableShape } from "../db/table-shapes.ts";
import { BackupError } from "./errors.ts";
import type { SealedKeys } from "./sealed-keys.ts";

/** What a file of ours begins with. */
export const formatVersion = 1;

/** The first line. */
export interface ArchiveHeader {
  readonly vestibule_backup: number;
  /** When its moment was, RFC 3339. */
  readonly created_at: string;
  /** Version of the program that made it. */
  readonly version: string;
  readonly database: "sqlite" | "postgres";
  /** Names of the migrations that its tables have seen. */
  readonly migrations: readonly string[];
  /** In the order in which their rows follow. */
  readonly tables: readonly TableShape[];
  /** About how many rows follow. */
  readonly rows: number;
  readonly keys?: SealedKeys;
}

/** Rows of one table. */
export interface ArchiveRows {
  readonly table: string;
  readonly rows: readonly CarriedRow[];
}

/** What a table's rows come to, and the last number that was handed out in it. */
export interface TableEnd {
  readonly rows: number;
  readonly digest: string;
  readonly last: number;
}

/** The last line. */
export interface ArchiveEnd {
  readonly tables: Readonly<Record<string, TableEnd>>;
  /** SHA-256 of all lines before, base64url. */
  readonly sha256: string;
}

/** A line between the first and the last. */
export type ArchiveLine = ArchiveRows | { readonly end: ArchiveEnd };

/** @throws BackupError for what is no header of a version that this program knows */
export function readHeader(line: string | undefined): ArchiveHeader {
  const header = parse(line) as Partial<ArchiveHeader> | undefined;
  if (typeof header?.vestibule_backup !== "number") throw new BackupError("it is no backup of vestibule");
  if (header.vestibule_backup !== formatVersion) {
    throw new BackupError(
      `it has the format ${header.vestibule_backup}, and this version of vestibule reads ${formatVersion}: use a newer one`,
    );
  }
  if (!Array.isArray(header.tables) || !Array.isArray(header.migrations)) {
    throw new BackupError("it is damaged: its header says not what is in it");
  }
  return header as ArchiveHeader;
}

/** @throws BackupError for what is no line of a backup */
export function readLine(line: string): ArchiveLine {
  const read = parse(line);
  if (read === undefined) throw new BackupError("it is damaged: a line is not JSON");
  return read as ArchiveLine;
}

function parse(line: string | undefined): unknown {
  try {
    return JSON.parse(line ?? "");
  } catch {
    return undefined;
  }
}
