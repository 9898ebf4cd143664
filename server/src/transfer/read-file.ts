/** Reading what is to be imported, a record at a time, whatever the size of the file. */
import { createHash } from "node:crypto";
import { constants, createReadStream, fstatSync, openSync } from "node:fs";
import { stat } from "node:fs/promises";
import { Socket } from "node:net";
import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import { isatty, ReadStream } from "node:tty";
import { JSONParser } from "@streamparser/json";
import { CsvError, parse } from "csv-parse";
import { untilDrained } from "../lib/until-drained.ts";
import { readCell } from "./csv.ts";
import { RefusedRecord, TransferError } from "./errors.ts";

/** How a file holds its records: lines of JSON, rows behind a header, or lists somewhere in one JSON document. */
export type FileFormat = "jsonl" | "csv" | "json";

/** Where in its file a record is. */
export type Place = { readonly line: number } | { readonly record: string };

/** A record as it stands in its file, or why it cannot be read. */
export interface RawRecord {
  readonly place: Place;
  readonly value: Readonly<Record<string, unknown>> | RefusedRecord;
}

/** Longest line or row, in bytes: far more than what is taken of any of its members. */
const longestRecord = 4 * 1024 * 1024;

/** What stands for bytes that are no UTF-8. */
const replacement = "\ufffd";

/** A file that is read once, and what is known of it meanwhile. */
export class ImportFile {
  readonly #path: string;
  readonly #hash = createHash("sha256");
  /** In bytes; 0 of what is no file, such as a pipe. */
  readonly size: number;
  /** How many bytes are read by now. */
  readBytes = 0;

  private constructor(path: string, size: number) {
    this.#path = path;
    this.size = size;
  }

  /** @throws TransferError for what cannot be read */
  static async open(path: string): Promise<ImportFile> {
    try {
      const { size } = await stat(path);
      return new ImportFile(path, size);
    } catch (error) {
      throw toReadError(path, error);
    }
  }

  /** SHA-256 of all that was read, in hexadecimal; once, at the end. */
  digest(): string {
    return this.#hash.digest("hex");
  }

  async *chunks(): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of openStream(this.#path) as AsyncIterable<Buffer>) {
        const isUtf16 = this.readBytes === 0 && /^(?:fffe|feff)/.test(chunk.toString("hex", 0, 2));
        if (isUtf16) throw new TransferError(`${this.#path}: is UTF-16; save it as UTF-8`);
        this.#hash.update(chunk);
        this.readBytes += chunk.length;
        yield chunk;
      }
    } catch (error) {
      throw toReadError(this.#path, error);
    }
  }
}

/**
 * A pipe or a terminal is waited for by the event loop: a read as of a file
 * would keep a thread, and so the process from ending, until something comes.
 */
function openStream(path: string): Readable {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  if (fstatSync(fd).isFIFO()) return new Socket({ fd, readable: true, writable: false });
  return isatty(fd) ? new ReadStream(fd) : createReadStream(path, { fd });
}

function toReadError(path: string, error: unknown): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === "ENOENT") return new TransferError(`${path}: is not there`);
  if (code === undefined || syscall === undefined) return error;
  return new TransferError(`${path}: cannot be read, got ${code}`);
}

/** Lines of JSON: one record each, empty lines aside. */
export async function* readLines(file: ImportFile): AsyncGenerator<RawRecord> {
  let number = 0;
  for await (const line of splitLines(file)) {
    number += 1;
    const place = { line: number };
    if (line === undefined) yield { place, value: tooLong() };
    else {
      const text = toText(line, number === 1);
      if (text !== "") yield { place, value: readJson(text) };
    }
  }
}

function tooLong(): RefusedRecord {
  return new RefusedRecord("INVALID", "", `must be at most ${longestRecord / 1024 / 1024} MiB`);
}

/** @param isFirst whether there may be a byte order mark before it */
function toText(line: Buffer, isFirst: boolean): string {
  const text = line.toString("utf8").trim();
  return isFirst && text.startsWith("\ufeff") ? text.slice(1) : text;
}

/** Lines without their ends; undefined for one that is too long, of which nothing is kept. */
async function* splitLines(file: ImportFile): AsyncGenerator<Buffer | undefined> {
  let parts: Buffer[] = [];
  let length = 0;
  const take = () => {
    const line = length > longestRecord ? undefined : Buffer.concat(parts);
    [parts, length] = [[], 0];
    return line;
  };
  for await (const chunk of file.chunks()) {
    let start = 0;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, start)) {
      parts.push(chunk.subarray(start, at));
      length += at - start;
      yield take();
      start = at + 1;
    }
    length += chunk.length - start;
    if (length > longestRecord) parts = [];
    else parts.push(chunk.subarray(start));
  }
  if (length > 0) yield take();
}

function readJson(text: string): RawRecord["value"] {
  if (text.includes(replacement)) return new RefusedRecord("INVALID", "", "must be UTF-8");
  try {
    return requireObject(JSON.parse(text));
  } catch {
    return new RefusedRecord("INVALID", "", "must be JSON on one line");
  }
}

function requireObject(value: unknown): RawRecord["value"] {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  if (!isObject) return new RefusedRecord("INVALID", "", "must be a JSON object");
  return value as Readonly<Record<string, unknown>>;
}

/**
 * Rows of CSV (RFC 4180) by the names in its first: cells as texts.
 *
 * @param onHeader hears the names before any row; what it throws is thrown
 * @throws TransferError where quotes do not match: from there on nobody can tell what is a row
 */
export async function* readRows(
  path: string,
  file: ImportFile,
  onHeader: (names: readonly string[]) => void,
): AsyncGenerator<RawRecord> {
  const parser = parse({
    bom: true,
    info: true,
    relax_column_count: true,
    skip_empty_lines: true,
    record_delimiter: ["\r\n", "\n", "\r"],
    max_record_size: longestRecord,
  });
  const fed = feed(file, parser);
  let header: readonly string[] | undefined;
  // Of a line's end within quotes the parser counts both characters.
  let countedTwice = 0;
  try {
    for await (const { record, info } of parser as AsyncIterable<{
      record: string[];
      info: { lines: number };
    }>) {
      const inside = record.flatMap((cell) => cell.match(/\r\n|\n|\r/g) ?? []);
      countedTwice += inside.filter((end) => end.length === 2).length;
      const place = { line: info.lines - countedTwice - inside.length };
      if (header === undefined) {
        header = record.map((name) => name.trim());
        onHeader(header);
      } else yield { place, value: toCells(header, record) };
    }
    await fed;
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    throw new TransferError(`${path}: ${toCsvMessage(error)}; nothing was read from there on`);
  }
}

/** Hands a file to the parser as fast as it takes it; what goes wrong comes out of the parser. */
async function feed(file: ImportFile, parser: ReturnType<typeof parse>): Promise<void> {
  try {
    for await (const chunk of file.chunks()) {
      if (parser.destroyed) return;
      if (!parser.write(chunk)) await untilDrained(parser);
    }
    parser.end();
  } catch (error) {
    parser.destroy(error as Error);
  }
}

function toCsvMessage({ code, message }: CsvError): string {
  const [, at] = /line (\d+)/.exec(message) ?? [];
  const where = at === undefined ? "" : `line ${at}: `;
  return `${where}${code === "CSV_MAX_RECORD_SIZE" ? "a row is longer than 4 MiB" : "quotes do not match"}`;
}

function toCells(header: readonly string[], row: readonly string[]): RawRecord["value"] {
  if (row.length !== header.length) {
    return new RefusedRecord("INVALID", "", `has ${row.length} cells, expected ${header.length}`);
  }
  if (row.some((cell) => cell.includes(replacement)))
    return new RefusedRecord("INVALID", "", "must be UTF-8");
  return Object.fromEntries(header.map((name, at) => [name, readCell(row[at] ?? "")]));
}

/**
 * The records of a list in a JSON document, of which no more is kept in memory
 * than one of them at a time.
 *
 * @param list names of the members that lead to the list, by dots
 * @throws TransferError where it is no JSON
 */
export async function* readDocument(path: string, file: ImportFile, list: string): AsyncGenerator<RawRecord> {
  const found: unknown[] = [];
  const parser = new JSONParser({ paths: [`$.${list}.*`], keepStack: false });
  parser.onValue = ({ value, parent }) => {
    if (Array.isArray(parent)) found.push(value);
  };
  const decoder = new StringDecoder("utf8");
  let count = 0;
  let isFirst = true;
  for await (const chunk of file.chunks()) {
    const text = decoder.write(chunk);
    try {
      parser.write(isFirst && text.startsWith("\ufeff") ? text.slice(1) : text);
    } catch {
      throw new TransferError(`${path}: is no JSON, or not all of it is there`);
    }
    isFirst = false;
    for (const value of found.splice(0)) {
      yield { place: { record: `${list}[${count}]` }, value: requireObject(value) };
      count += 1;
    }
  }
  if (!parser.isEnded) throw new TransferError(`${path}: is no JSON, or not all of it is there`);
}
