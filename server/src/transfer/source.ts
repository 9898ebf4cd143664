/** The records of a file, whichever way they stand in it. */
import { checkHeader, readRecord } from "./csv.ts";
import { RefusedRecord, TransferError } from "./errors.ts";
import { applyMapping, type KindMapping, type Lookup, type Mapping } from "./mapping.ts";
import {
  type FileFormat,
  ImportFile,
  type Place,
  type RawRecord,
  readDocument,
  readLines,
  readRows,
} from "./read-file.ts";
import type { Kind } from "./records.ts";
import { Scratch } from "./scratch.ts";

/** Which file is read, and as what. */
export interface SourceOptions {
  readonly path: string;
  readonly kind: Kind;
  readonly format: FileFormat;
  /** Absent for our own files. */
  readonly mapping?: Mapping | undefined;
}

/** A file that is being read. */
export interface Source {
  readonly file: ImportFile;
  readonly records: AsyncGenerator<RawRecord>;
}

/** What a file is by its name; lines of JSON if that does not say. */
export function guessFormat(path: string): FileFormat {
  const ending = /\.(jsonl|csv|json)$/i.exec(path)?.[1]?.toLowerCase();
  return ending === "csv" || ending === "json" ? ending : "jsonl";
}

/** Opens a file whose records are to be imported. @throws TransferError */
export async function openSource(options: SourceOptions): Promise<Source> {
  const { path, kind, mapping } = options;
  const file = await ImportFile.open(path);
  if (mapping === undefined) return { file, records: readOwn(options, file) };
  const rules = mapping.kinds[kind];
  if (rules === undefined) {
    const known = Object.keys(mapping.kinds).join(", ");
    throw new TransferError(`the mapping has no ${kind}: expected one of ${known}`);
  }
  return { file, records: readMapped(options, file, mapping, rules) };
}

/** SHA-256 of a whole file, in hexadecimal. */
export async function digestFile(path: string): Promise<string> {
  const file = await ImportFile.open(path);
  for await (const _ of file.chunks());
  return file.digest();
}

async function* readOwn({ path, kind, format }: SourceOptions, file: ImportFile): AsyncGenerator<RawRecord> {
  if (format === "json") throw new TransferError(`${path}: a document is read by a --mapping alone`);
  if (format === "jsonl") return yield* readLines(file);
  for await (const { place, value } of readRows(path, file, (names) => checkHeader(path, kind, names))) {
    if (value instanceof RefusedRecord) yield { place, value };
    else yield { place, value: orRefused(() => readRecord(kind, value as Record<string, string>)) };
  }
}

function orRefused(read: () => RawRecord["value"]): RawRecord["value"] {
  try {
    return read();
  } catch (error) {
    if (error instanceof RefusedRecord) return error;
    throw error;
  }
}

async function* readMapped(
  options: SourceOptions,
  file: ImportFile,
  mapping: Mapping,
  rules: KindMapping,
): AsyncGenerator<RawRecord> {
  const { index, lookup } = await fillLookups(options, mapping, rules);
  try {
    for await (const { place, value } of readGiven(options, file, rules)) {
      if (value instanceof RefusedRecord) yield { place, value };
      else {
        for (const mapped of applyMapping(rules, value, lookup)) {
          yield { place: within(place, mapped.at), value: mapped.value };
        }
      }
    }
  } finally {
    index?.close();
  }
}

function within(place: Place, at: string): Place {
  if (at === "") return place;
  return { record: "line" in place ? `line ${place.line}${at}` : `${place.record}${at}` };
}

function readGiven({ path, format }: SourceOptions, file: ImportFile, { list }: KindMapping) {
  if (format === "jsonl") return readLines(file);
  if (format === "csv") return readRows(path, file, () => {});
  if (list === undefined) throw new TransferError("the mapping does not say which list of a document it is");
  return readDocument(path, file, list);
}

/** Reads the lists that this kind's fields look into, if any do. */
async function fillLookups(
  { path, format }: SourceOptions,
  { lookups = {} }: Mapping,
  rules: KindMapping,
): Promise<{ readonly index?: Scratch; readonly lookup: Lookup }> {
  const used = JSON.stringify(rules);
  const named = Object.entries(lookups).filter(([name]) => used.includes(`"lookup":${JSON.stringify(name)}`));
  if (named.length === 0 || format !== "json") return { lookup: () => undefined };
  const index = new Scratch();
  for (const [name, { list, key, value }] of named) {
    for await (const { value: given } of readDocument(path, await ImportFile.open(path), list)) {
      if (given instanceof RefusedRecord) continue;
      const [from, to] = [given[key], given[value]];
      if (typeof from === "string" && typeof to === "string") index.add(`${name} ${from}`, to);
    }
  }
  return { index, lookup: (name, key) => index.find(`${name} ${key}`) };
}
