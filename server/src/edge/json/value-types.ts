/** What a value of a field may be in JSON and in a path or query, and how its type is called. */
import {
  type DescEnum,
  type DescField,
  type DescMessage,
  fromJson,
  type JsonValue,
  ScalarType,
} from "@bufbuild/protobuf";
import { hasCustomJsonRepresentation, isWrapperDesc } from "@bufbuild/protobuf/wkt";
import { invalidValues } from "../../lib/invalid-request.ts";
import { toViolation } from "./refusals.ts";

const scalarTypes = {
  [ScalarType.DOUBLE]: "number",
  [ScalarType.FLOAT]: "number",
  [ScalarType.INT64]: "integer",
  [ScalarType.UINT64]: "integer",
  [ScalarType.INT32]: "integer",
  [ScalarType.FIXED64]: "integer",
  [ScalarType.FIXED32]: "integer",
  [ScalarType.BOOL]: "boolean",
  [ScalarType.STRING]: "string",
  [ScalarType.BYTES]: "base64",
  [ScalarType.UINT32]: "integer",
  [ScalarType.SFIXED32]: "integer",
  [ScalarType.SFIXED64]: "integer",
  [ScalarType.SINT32]: "integer",
  [ScalarType.SINT64]: "integer",
} as const satisfies Record<ScalarType, string>;

/** Messages that are no object in JSON. */
const messageTypes: Readonly<Record<string, string>> = {
  "google.protobuf.Timestamp": "date-time",
  "google.protobuf.Duration": "duration",
  "google.protobuf.FieldMask": "string",
  "google.protobuf.ListValue": "array",
};

/** A field, or an item of it, that has one value. */
type Value = Pick<DescField, "scalar" | "enum" | "message">;

/** Says what one value of a field must be: `must be of integer`, `must be one of A, B`. */
export function describeType(field: Value): string {
  if (field.enum !== undefined) return `must be one of ${listNames(field.enum)}`;
  const scalar = toScalar(field);
  const type = scalar === undefined ? messageTypes[field.message?.typeName ?? ""] : scalarTypes[scalar];
  return `must be of ${type ?? "object"}`;
}

function listNames({ values }: DescEnum): string {
  return values.map(({ jsonName }) => jsonName).join(", ");
}

/** The scalar that a value is in JSON: its own, or that of a wrapper. */
function toScalar({ scalar, message }: Value): ScalarType | undefined {
  return scalar ?? (message && isWrapperDesc(message) ? message.fields[0].scalar : undefined);
}

/** Whether a JSON value can be one of a field, on its own: an item of a list, the value of a map. */
export function isValueOf(field: DescField, value: JsonValue): boolean {
  const whole =
    field.fieldKind === "list"
      ? [value]
      : field.fieldKind === "map"
        ? { [sampleKey(field.mapKey)]: value }
        : value;
  try {
    fromJson(field.parent, { [field.jsonName]: whole });
    return true;
  } catch {
    return false;
  }
}

function sampleKey(type: ScalarType): string {
  if (type === ScalarType.BOOL) return "true";
  return type === ScalarType.STRING ? "a" : "0";
}

/** Whether a field's values, or its items, can be said in a path or query: they are no objects in JSON. */
export function isTextual(field: DescField): boolean {
  if (field.fieldKind === "map") return false;
  const { message } = field;
  return (
    message === undefined ||
    isWrapperDesc(message) ||
    ["google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.FieldMask"].includes(
      message.typeName,
    )
  );
}

/** The message whose fields a path or query can say one by one; undefined where there is none. */
export function findOpenMessage({ fieldKind, message }: DescField): DescMessage | undefined {
  return fieldKind === "message" && message !== undefined && !hasCustomJsonRepresentation(message)
    ? message
    : undefined;
}

/**
 * The JSON of a value that came as text.
 *
 * @param name of the parameter, as the client wrote it
 * @throws {DomainError} INVALID_REQUEST when the text is not of the field's type
 */
export function textToJson(field: DescField, text: string, name: string): JsonValue {
  const scalar = toScalar(field);
  if (scalar === ScalarType.STRING) return text;
  const value = convert(field, text);
  // What any integer and any flag can be needs no parser, which is most of what a query has.
  if (scalar === ScalarType.INT32 && /^-?\d{1,9}$/.test(text)) return text;
  if (typeof value === "boolean") return value;
  if (value === undefined || !isValueOf(field, value)) {
    throw invalidValues([toViolation(name, describeType(field))]);
  }
  return value;
}

/** Texts that JSON would take as numbers but that are written as none (`0x10`, `1e3` for an integer) are none. */
function convert(field: DescField, text: string): JsonValue | undefined {
  const scalar = toScalar(field);
  if (field.enum !== undefined) return /^-?\d+$/.test(text) ? Number(text) : text;
  switch (scalar === undefined ? "string" : scalarTypes[scalar]) {
    case "boolean":
      return text === "true" ? true : text === "false" ? false : undefined;
    case "integer":
      return /^-?\d+$/.test(text) ? text : undefined;
    case "number":
      return /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(text) ? Number(text) : undefined;
    default:
      return text;
  }
}
