/** Fields that only answers have (AIP-203): a client may send back what it was sent, and they are not looked at. */
import { type DescField, type DescMessage, getOption, type JsonValue } from "@bufbuild/protobuf";
import { FieldBehavior, field_behavior } from "@vestibule/proto/google/api/field_behavior_pb";
import { isJsonObject } from "../json/type-errors.ts";

/** What a message, or one inside it, has of such fields. */
interface Plan {
  /** Names of such fields, in both spellings. */
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

/** Removes the output-only fields from the JSON of a message, in place and at every depth. */
export function dropOutputOnly(type: DescMessage, value: JsonValue): void {
  const { dropped, nested } = getPlan(type);
  if (!isJsonObject(value) || (dropped.length === 0 && nested.size === 0)) return;
  for (const name of dropped) delete value[name];
  for (const [name, field] of nested) {
    if (Object.hasOwn(value, name)) dropInField(field, value[name] as JsonValue);
  }
}

/** The same in the JSON of one field, list or map included. */
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
