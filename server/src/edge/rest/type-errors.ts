/**
 * Finds what in a JSON value does not fit a message: asked only once the
 * parser has refused it, so that the answer can name every place.
 */
import type { DescField, DescMessage, DescOneof, JsonObject, JsonValue } from "@bufbuild/protobuf";
import { hasCustomJsonRepresentation } from "@bufbuild/protobuf/wkt";
import type { FieldViolation } from "../../lib/errors.ts";
import { joinPath, toViolation, violationLimit } from "./refusals.ts";
import { describeType, isValueOf } from "./value-types.ts";

/** A JSON object, neither null nor an array. */
export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Every misfit of a message's JSON, at most as many as one refusal names. Paths spell keys as they were sent. */
export function findTypeErrors(type: DescMessage, value: JsonValue): FieldViolation[] {
  return take(inMessage(type, value, ""));
}

/** The same for the JSON of one field, list or map included. */
export function findFieldTypeErrors(field: DescField, value: JsonValue): FieldViolation[] {
  return take(inField(field, value, ""));
}

function take(found: Iterable<FieldViolation>): FieldViolation[] {
  const taken: FieldViolation[] = [];
  for (const violation of found) {
    taken.push(violation);
    if (taken.length === violationLimit) break;
  }
  return taken;
}

function* inMessage(type: DescMessage, value: JsonValue, path: string): Generator<FieldViolation> {
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
    const at = joinPath(path, key);
    const field = fields.get(key);
    if (field === undefined) {
      yield toViolation(at, "is not expected");
      continue;
    }
    if (seen.has(field)) yield toViolation(at, "is given more than once");
    else if (field.oneof && seen.has(field.oneof)) yield toViolation(at, "excludes another that is given");
    seen.add(field);
    if (each !== null && field.oneof) seen.add(field.oneof);
    yield* inField(field, each, at);
  }
}

function* inField(field: DescField, value: JsonValue, path: string): Generator<FieldViolation> {
  if (value === null) return;
  switch (field.fieldKind) {
    case "list":
      if (!Array.isArray(value)) yield toViolation(path, "must be of array");
      else for (const [index, item] of value.entries()) yield* inValue(field, item, `${path}[${index}]`);
      return;
    case "map":
      if (!isJsonObject(value)) yield toViolation(path, "must be of object");
      else for (const [key, item] of Object.entries(value)) yield* inValue(field, item, joinPath(path, key));
      return;
    default:
      yield* inValue(field, value, path);
  }
}

/** One value: an item of a list, a value of a map, or all of another field. */
function* inValue(field: DescField, value: JsonValue, path: string): Generator<FieldViolation> {
  if (field.message !== undefined && !hasCustomJsonRepresentation(field.message)) {
    yield* inMessage(field.message, value, path);
  } else if (!isValueOf(field, value)) {
    yield toViolation(path, describeType(field));
  }
}
