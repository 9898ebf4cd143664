import type { DescField, DescMessage, JsonObject, JsonValue } from "@bufbuild/protobuf";
import { isJsonObject } from "../json/type-errors.ts";
import { findOpenMessage, isTextual } from "../json/value-types.ts";
import { isOutputOnly } from "./output-only.ts";

/** A field inside a message, by the fields that lead to it; the last one is it. */
export type FieldPath = readonly [DescField, ...DescField[]];

/**
 * Finds a field by its dotted path, in names of the schema or of JSON;
 * undefined when there is none that can be said as text: the ones on the way
 * are single messages, the last is no object in JSON, and no answer alone has
 * any of them.
 */
export function findTextField(type: DescMessage, path: string): FieldPath | undefined {
  const fields: DescField[] = [];
  let at: DescMessage | undefined = type;
  for (const name of path.split(".")) {
    const field: DescField | undefined = at?.fields.find(
      (each) => each.name === name || each.jsonName === name,
    );
    if (field === undefined || isOutputOnly(field)) return undefined;
    fields.push(field);
    at = findOpenMessage(field);
  }
  const [first, ...rest] = fields;
  const last = fields.at(-1);
  return first === undefined || last === undefined || !isTextual(last) ? undefined : [first, ...rest];
}

/** The field itself. */
export function leafOf(path: FieldPath): DescField {
  return path.at(-1) as DescField;
}

/** The path in the schema's names; equal for equal fields. */
export function toSchemaPath(path: FieldPath): string {
  return path.map(({ name }) => name).join(".");
}

/** The key under which an object has a field, in either spelling; undefined when it is absent or null. */
export function findKey(object: JsonObject, { name, jsonName }: DescField): string | undefined {
  return [jsonName, name].find((key) => Object.hasOwn(object, key) && object[key] !== null);
}

/**
 * The object that holds a field, made where it is missing; undefined when
 * something else stands where an object should.
 */
export function openParent(root: JsonObject, path: FieldPath): JsonObject | undefined {
  let at = root;
  for (const field of path.slice(0, -1)) {
    const key = findKey(at, field);
    const next: JsonValue | undefined = key === undefined ? {} : at[key];
    if (!isJsonObject(next)) return undefined;
    setField(at, field, next);
    at = next;
  }
  return at;
}

/** Sets a field, in whichever spelling it was there. */
export function setField(object: JsonObject, field: DescField, value: JsonValue): void {
  const spelled = findKey(object, field) ?? (Object.hasOwn(object, field.name) ? field.name : field.jsonName);
  object[spelled] = value;
}
