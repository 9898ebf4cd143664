/**
 * Cells of CSV (RFC 4180). Spreadsheets take a cell for a formula by how it
 * begins: such a text is written behind an apostrophe, which they take for
 * "this is text", and read without it. One that begins so itself gets another.
 */
import { stringify } from "csv-stringify/sync";
import { findNearest } from "../lib/suggest.ts";
import { RefusedRecord, TransferError } from "./errors.ts";
import { type CellType, columns, type Kind } from "./records.ts";

/** What begins a formula, its wide forms included, and the apostrophe itself before one. */
const formula = /^'*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]/;

/** A row of CSV with its line end. */
function writeRow(cells: readonly string[]): string {
  return stringify([cells.map((cell) => (formula.test(cell) ? `'${cell}` : cell))], {
    record_delimiter: "windows",
    // Other line ends than the rows' own too.
    quoted_match: /[\r\n]/,
  });
}

/** The names of a kind's columns. */
export function writeHeader(kind: Kind): string {
  return writeRow(Object.keys(columns[kind]));
}

/** A record as a row. */
export function writeRecord(kind: Kind, record: Readonly<Record<string, unknown>>): string {
  return writeRow(Object.entries(columns[kind]).map(([name, type]) => toCell(type, record[name])));
}

function toCell(type: CellType, value: unknown): string {
  if (value === undefined) return "";
  return type === "json" ? JSON.stringify(value) : String(value);
}

/** A cell as the text it stands for. */
export function readCell(cell: string): string {
  return cell.startsWith("'") && formula.test(cell) ? cell.slice(1) : cell;
}

/** @throws TransferError for a header that names what no record has, or something twice */
export function checkHeader(file: string, kind: Kind, header: readonly string[]): void {
  const known = Object.keys(columns[kind]);
  for (const [at, name] of header.entries()) {
    if (header.indexOf(name) !== at) throw new TransferError(`${file}: line 1: ${name} is there twice`);
    if (known.includes(name)) continue;
    const nearest = findNearest(name, known);
    const meant = nearest === undefined ? `one of ${known.join(", ")}` : nearest;
    throw new TransferError(`${file}: line 1: ${toShown(name)} is no column of ${kind}; expected ${meant}`);
  }
}

function toShown(name: string): string {
  return JSON.stringify(name.slice(0, 60));
}

/** Cells as a record: an empty one says nothing. @throws RefusedRecord */
export function readRecord(kind: Kind, cells: Readonly<Record<string, string>>): Record<string, unknown> {
  const record: Record<string, unknown> = {};
  for (const [name, cell] of Object.entries(cells)) {
    if (cell !== "") record[name] = fromCell(columns[kind][name] ?? "text", name, cell);
  }
  return record;
}

function fromCell(type: CellType, name: string, cell: string): unknown {
  if (type === "text") return cell;
  if (type === "boolean") {
    const value = { true: true, false: false }[cell.toLowerCase()];
    if (value === undefined) throw new RefusedRecord("INVALID", name, "must be true or false");
    return value;
  }
  try {
    return JSON.parse(cell);
  } catch {
    throw new RefusedRecord("INVALID", name, "must be JSON");
  }
}
