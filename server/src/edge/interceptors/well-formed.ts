/**
 * What no field of any request may hold, whatever its schema says.
 *
 * A text with NUL cannot be stored in Postgres. An instant outside the years 1
 * to 9999, and a number that is none, can be said in binary only: JSON has no
 * word for them, so they could be neither stored nor read back. Half a character
 * can be said in the free-form JSON of a struct only, and comes back as another
 * text, or another name, in binary. The name `__proto__`, which JSON's reader
 * refuses, can be said in binary only; programs that read it would set a prototype.
 */
import { type DescField, type DescMessage, type Message, ScalarType } from "@bufbuild/protobuf";
import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";
import type { FieldViolation } from "../../lib/errors.ts";

/** Finds the values of a message that are not well-formed; none in a good one. */
export function findMalformed(type: DescMessage, message: Message): FieldViolation[] {
  const found: FieldViolation[] = [];
  checkMessage(type, message as Fields, "", found);
  return found;
}

/** A message as an object with a property for each field or oneof. */
type Fields = Readonly<Record<string, unknown>>;

/** The fields that could hold something malformed, by message type. */
const checkedFields = new WeakMap<DescMessage, readonly DescField[]>();

function getCheckedFields(type: DescMessage): readonly DescField[] {
  let fields = checkedFields.get(type);
  if (fields === undefined) {
    fields = type.fields.filter(isChecked);
    checkedFields.set(type, fields);
  }
  return fields;
}

function isChecked(field: DescField): boolean {
  return field.message !== undefined || field.scalar === ScalarType.STRING || field.fieldKind === "map";
}

function checkMessage(type: DescMessage, message: Fields, path: string, found: FieldViolation[]): void {
  for (const field of getCheckedFields(type)) {
    const value = readField(field, message);
    if (value === undefined) continue;
    const at = path === "" ? field.name : `${path}.${field.name}`;
    if (field.fieldKind === "list") {
      for (const [index, each] of (value as unknown[]).entries()) {
        checkValue(field.message, each, `${at}[${index}]`, found);
      }
    } else if (field.fieldKind === "map") {
      for (const [key, each] of Object.entries(value as object)) {
        checkText(key, at, found);
        checkValue(field.message, each, `${at}["${key}"]`, found);
      }
    } else {
      checkValue(field.message, value, at, found);
    }
  }
}

function readField(field: DescField, message: Fields): unknown {
  if (field.oneof === undefined) return message[field.localName];
  const choice = message[field.oneof.localName] as { case?: string; value?: unknown } | undefined;
  return choice?.case === field.localName ? choice.value : undefined;
}

function checkValue(
  type: DescMessage | undefined,
  value: unknown,
  at: string,
  found: FieldViolation[],
): void {
  switch (type?.typeName) {
    case undefined:
      if (typeof value === "string") checkText(value, at, found);
      return;
    case "google.protobuf.Timestamp":
      if (!isInstant(value as Timestamp)) {
        found.push({ field: at, description: "must be an instant of the years 1 to 9999" });
      }
      return;
    case "google.protobuf.Duration":
      if (!isDuration(value as Duration)) {
        found.push({ field: at, description: "must be a duration of at most 10,000 years" });
      }
      return;
    case "google.protobuf.Struct":
      if (!isJson(value)) {
        found.push({ field: at, description: malformedStruct });
      }
      return;
    default:
      checkMessage(type as DescMessage, value as Fields, at, found);
  }
}

function checkText(text: string, field: string, found: FieldViolation[]): void {
  if (text.includes("\0")) found.push({ field, description: "must not contain the character NUL" });
}

/** Bounds of an instant, in seconds since the epoch (`google/protobuf/timestamp.proto`). */
const firstSeconds = -62_135_596_800n;
const lastSeconds = 253_402_300_799n;

function isInstant({ seconds, nanos }: Timestamp): boolean {
  return seconds >= firstSeconds && seconds <= lastSeconds && isNanos(nanos, 0);
}

/** Longest duration of either sign, in seconds (`google/protobuf/duration.proto`). */
const longestSeconds = 315_576_000_000n;

function isDuration({ seconds, nanos }: Duration): boolean {
  return seconds <= longestSeconds && seconds >= -longestSeconds && isNanos(nanos, -999_999_999);
}

function isNanos(nanos: number, least: number): boolean {
  return nanos >= least && nanos <= 999_999_999;
}

const malformedStruct = "must hold finite numbers and whole characters only, and no name __proto__";

/** Whether every number and text in a JSON value is one that JSON can say, names included. */
function isJson(value: unknown): boolean {
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value !== "object" || value === null) return true;
  return Object.entries(value).every(
    ([name, each]) => name !== "__proto__" && name.isWellFormed() && isJson(each),
  );
}
