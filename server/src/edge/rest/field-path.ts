/**
 * Finds fields of request messages by the names that paths, queries and bodies
 * have for them, and drops those that only answers have.
 */
import {
  type DescField,
  type DescMessage,
  getOption,
  type JsonObject,
  type JsonValue,
} from "@bufbuild/protobuf";
import { FieldBehavior, field_behavior } from "@vestibule/proto/google/api/field_behavior_pb";
import { isJsonObject } from "../json/strict-json.ts";
import { findOpenMessage, isTextual } from "../json/value-types.ts";

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

/** Where a message has fields that only answers have, at any depth. */
interface Plan {
  /** Names of its own, in both spellings. */
  readonly dropped: readonly string[];
  /** Fields whose messages have them, in both spellings. */
  readonly nested: ReadonlyMap<string, DescField>;
}

/** Decoding an option costs more than reading a parameter. */
const known = new WeakMap<DescField, boolean>();

/** Whether only answers have the field. */
export function isOutputOnly(field: DescField): boolean {
  const isKnown = known.get(field) ?? getOption(field, field_behavior).includes(FieldBehavior.OUTPUT_ONLY);
  known.set(field, isKnown);
  return isKnown;
}

const plans = new WeakMap<DescMessage, Plan>();

/**
 * Removes the output-only fields (AIP-203) from the JSON of a message, in place
 * and at every depth: a client may send back what it was sent.
 */
export function dropOutputOnly(type: DescMessage, value: JsonValue): void {
  const { dropped, nested } = getPlan(type);
  if (!isJsonObject(value) || (dropped.length === 0 && nested.size === 0)) return;
  for (const name of dropped) delete value[name];
  for (const [name, field] of nested) {
    if (Object.hasOwn(value, name)) dropInField(field, value[name] as JsonValue);
  }
}

/** Removes the output-only fields from the JSON of one field, list or map included. */
export function dropInField(field: DescField, value: JsonValue): void {
  const type = field.message;
  if (type === undefined) return;
  if (field.fieldKind === "list" && Array.isArray(value)) {
    for (const item of value) dropOutputOnly(type, item);
  } else if (field.fieldKind === "map" && isJsonObject(value)) {
    for (const item of Object.values(value)) dropOutputOnly(type, item);
  } else {
    dropOutputOnly(type, value);
  }
}

function getPlan(type: DescMessage): Plan {
  let plan = plans.get(type);
  if (plan === undefined) {
    plan = {
      dropped: type.fields.filter(isOutputOnly).flatMap(toKeys),
      nested: new Map(
        type.fields
          .filter((field) => !isOutputOnly(field) && field.message && hasOutputOnly(field.message, new Set()))
          .flatMap((field) => toKeys(field).map((key) => [key, field] as const)),
      ),
    };
    plans.set(type, plan);
  }
  return plan;
}

function hasOutputOnly(type: DescMessage, seen: Set<DescMessage>): boolean {
  if (seen.has(type)) return false;
  seen.add(type);
  return type.fields.some(
    (field) => isOutputOnly(field) || (field.message !== undefined && hasOutputOnly(field.message, seen)),
  );
}

function toKeys({ name, jsonName }: DescField): string[] {
  return name === jsonName ? [name] : [name, jsonName];
}
