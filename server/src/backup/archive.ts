/**
 * The file of a backup: gzip over lines of JSON, so that it can be looked into
 * with `zcat`. The first line says what is in it, the last whether that is all
 * of it; between them are rows, some of one table a line.
 */
import { z } from "zod";
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

/** Names are repeated to operators, and go into statements. */
const name = z.string().regex(/^\w{1,100}$/);

const shape = z.object({
  name,
  columns: z.array(z.object({ name, type: z.enum(["text", "integer", "bytes"]) })),
  key: z.array(name),
  counted: name.optional(),
});

const headerSchema = z.object({
  vestibule_backup: z.literal(formatVersion),
  created_at: z.iso.datetime(),
  version: z.string().regex(/^[\w.+-]{1,64}$/),
  database: z.enum(["sqlite", "postgres"]),
  migrations: z.array(name),
  tables: z.array(shape),
  rows: z.int(),
  keys: z
    .object({
      kdf: z.literal("scrypt"),
      n: z.int(),
      r: z.int(),
      p: z.int(),
      salt: z.base64(),
      nonce: z.base64(),
      sealed: z.base64(),
    })
    .optional(),
});

const endSchema = z.object({
  tables: z.record(z.string(), z.object({ rows: z.int(), digest: z.string(), last: z.int().min(0) })),
  sha256: z.string(),
});

/** @throws BackupError for what is no header of a version that this program knows */
export function readHeader(line: string | undefined): ArchiveHeader {
  const header = parse(line) as Partial<ArchiveHeader> | null | undefined;
  if (typeof header?.vestibule_backup !== "number") throw new BackupError("it is no backup of vestibule");
  if (header.vestibule_backup !== formatVersion) {
    throw new BackupError(
      `it has the format ${header.vestibule_backup}, and this version of vestibule reads ${formatVersion}: use a newer one`,
    );
  }
  const { data } = headerSchema.safeParse(header);
  if (data === undefined) throw new BackupError("it is damaged: its header says not what is in it");
  return data as ArchiveHeader;
}

/** @throws BackupError for what is no line of a backup */
export function readLine(line: string): ArchiveLine {
  const read = parse(line) as Partial<ArchiveRows & { readonly end: unknown }> | null | undefined;
  if (read === undefined) throw new BackupError("it is damaged: a line is not JSON");
  const end = endSchema.safeParse(read?.end).data;
  if (end !== undefined) return { end };
  const { table, rows } = read ?? {};
  if (typeof table !== "string" || !Array.isArray(rows) || !rows.every(Array.isArray)) {
    throw new BackupError("it is damaged: a line is neither rows nor its end");
  }
  return { table, rows };
}

function parse(line: string | undefined): unknown {
  try {
    return JSON.parse(line ?? "");
  } catch {
    return undefined;
  }
}
