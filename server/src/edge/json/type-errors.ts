/**
 * Finds what in a JSON value does not fit a message: asked only once the
 * parser has refused it, so that the answer can name every place.
 */
import type { DescField, DescMessage, DescOneof, JsonValue } from "@bufbuild/protobuf";
import { hasCustomJsonRepresentation } from "@bufbuild/protobuf/wkt";
import type { FieldViolation } from "../../lib/errors.ts";
import { violationLimit } from "../../lib/invalid-request.ts";
import { findNearest } from "../../lib/suggest.ts";
import { joinPath, toViolation } from "./refusals.ts";
import { isJsonObject } from "./strict-json.ts";
import { describeType, isValueOf } from "./value-types.ts";

/** How the JSON was read that is looked into. */
export interface Reading {
  /** What a message has no field for is dropped, and no misfit. */
  readonly ignoresUnknown: boolean;
  /** Of what is refused as unknown, the field is named that was probably meant. */
  readonly suggests: boolean;
  /** How a path names a field that was sent by this key. */
  readonly nameOf: (field: DescField, key: string) => string;
}

/** Every misfit of a message's JSON, at most as many as one refusal names. */
export function findTypeErrors(type: DescMessage, value: JsonValue, reading: Reading): FieldViolation[] {
  return take(inMessage(type, value, "", reading));
}

/** Finds every misfit of the JSON of one field, list or map included. */
export function findFieldTypeErrors(field: DescField, value: JsonValue, reading: Reading): FieldViolation[] {
  return take(inField(field, value, "", reading));
}

function take(found: Iterable<FieldViolation>): FieldViolation[] {
  const taken: FieldViolation[] = [];
  for (const violation of found) {
    taken.push(violation);
    if (taken.length === violationLimit) break;
  }
  return taken;
}

function* inMessage(
  type: DescMessage,
  value: JsonValue,
  path: string,
  reading: Reading,
): Generator<FieldViolation> {
  if (!isJsonObject(value)) {
    yield toViolation(path, "must be of object");
    return;
  }
  const fields = new Map(
    type.fields.flatMap((field) => [
      [field.name, field],
      [field.jsonName, field],
    ]),
  );
  const seen = new Set<DescField | DescOneof>();
  for (const [key, each] of Object.entries(value)) {
    const field = fields.get(key);
    if (field === undefined) {
      if (!reading.ignoresUnknown) yield toUnknown(type, path, key, reading);
      continue;
    }
    const at = joinPath(path, reading.nameOf(field, key));
    if (seen.has(field)) yield toViolation(at, "is given more than once");
    else if (field.oneof && seen.has(field.oneof)) yield toViolation(at, "excludes another that is given");
    seen.add(field);
    if (each !== null && field.oneof) seen.add(field.oneof);
    yield* inField(field, each, at, reading);
  }
}

/** Longest name that is repeated where no field is like it, in characters: shorter than any secret. */
const longestName = 31;

function toUnknown(
  { fields }: DescMessage,
  path: string,
  key: string,
  { suggests }: Reading,
): FieldViolation {
  const description = "is not expected";
  if (!suggests) return toViolation(joinPath(path, key), description);
  const names = fields.map(({ name }) => name);
  const nearest = findNearest(key, names);
  if (nearest !== undefined) {
    return toViolation(joinPath(path, key), `${description}; did you mean ${nearest}?`);
  }
  return toViolation(joinPath(path, key.length > longestName ? "(a long name)" : key), description);
}

function* inField(
  field: DescField,
  value: JsonValue,
  path: string,
  reading: Reading,
): Generator<FieldViolation> {
  if (value === null) return;
  switch (field.fieldKind) {
    case "list":
      if (!Array.isArray(value)) yield toViolation(path, "must be of array");
      else {
        for (const [index, item] of value.entries())
          yield* inValue(field, item, `${path}[${index}]`, reading);
      }
      return;
    case "map":
      if (!isJsonObject(value)) yield toViolation(path, "must be of object");
      else {
        for (const [key, item] of Object.entries(value))
          yield* inValue(field, item, joinPath(path, key), reading);
      }
      return;
    default:
      yield* inValue(field, value, path, reading);
  }
}

/** One value: an item of a list, a value of a map, or all of another field. */
function* inValue(
  field: DescField,
  value: JsonValue,
  path: string,
  reading: Reading,
): Generator<FieldViolation> {
  if (field.message !== undefined && !hasCustomJsonRepresentation(field.message)) {
    yield* inMessage(field.message, value, path, reading);
  } else if (!isValueOf(field, value)) {
    yield toViolation(path, describeType(field));
  }
}
