/** What the rules in the schema (protovalidate) are in JSON Schema, as far as it can say them. */
import {
  type DescField,
  getOption,
  hasOption,
  type JsonObject,
  type JsonValue,
  toJson,
} from "@bufbuild/protobuf";
import { FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";
import {
  FieldRulesSchema,
  field as fieldRules,
} from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";

/** A JSON Schema of 2020-12, as OpenAPI 3.1 has it. */
export type JsonSchema = { [keyword: string]: JsonValue };

/** Rules of a field that hold for its value, or for each item of a list. */
export interface FieldKeywords {
  readonly isRequired: boolean;
  /** For the whole value: of a list or map, its size. */
  readonly whole: JsonSchema;
  /** For each item of a list and each value of a map. */
  readonly item: JsonSchema;
}

/** Reads the rules of a field. */
export function readKeywords(field: DescField): FieldKeywords {
  if (!hasOption(field, fieldRules)) return { isRequired: false, whole: {}, item: {} };
  const rules = toJson(FieldRulesSchema, getOption(field, fieldRules)) as JsonObject;
  const repeated = toObject(rules.repeated);
  const map = toObject(rules.map);
  return {
    isRequired: rules.required === true || (isImplicit(field) && !rules.ignore && refusesZero(rules)),
    whole: {
      ...toValueKeywords(rules),
      ...pick(repeated, { minItems: "minItems", maxItems: "maxItems", unique: "uniqueItems" }),
      ...pick(map, { minPairs: "minProperties", maxPairs: "maxProperties" }),
    },
    item: toValueKeywords(toObject(repeated.items ?? map.values)),
  };
}

/** Whether absent and zero are the same to the field. */
export function isImplicit({ presence }: DescField): boolean {
  return presence === FeatureSet_FieldPresence.IMPLICIT;
}

/** Whether the rules refuse what an absent field reads as: then it has to be there. */
function refusesZero(rules: JsonObject): boolean {
  const text = toObject(rules.string);
  const names = Array.isArray(text.in) ? text.in : undefined;
  const isFull = (size: JsonValue | undefined) => Number(size ?? 0) > 0;
  return (
    isFull(text.minLen) ||
    isFull(text.len) ||
    text.uuid === true ||
    names?.includes("") === false ||
    isFull(toObject(rules.repeated).minItems) ||
    numberKinds.some((kind) => Number(toObject(rules[kind]).gte ?? 0) > 0)
  );
}

/** Well-known kinds of text that JSON Schema has a format for. */
const formats = {
  email: "email",
  hostname: "hostname",
  ipv4: "ipv4",
  ipv6: "ipv6",
  uri: "uri",
  uriRef: "uri-reference",
  uuid: "uuid",
} as const;

/** Numbers that JSON holds as numbers. */
const numberKinds = ["int32", "uint32", "sint32", "fixed32", "sfixed32", "float", "double"] as const;

function toValueKeywords(rules: JsonObject): JsonSchema {
  const text = toObject(rules.string);
  const format = Object.entries(formats).find(([name]) => text[name] === true)?.[1];
  const numbers = numberKinds.map((kind) => toObject(rules[kind]));
  return {
    ...pick(text, {
      minLen: "minLength",
      maxLen: "maxLength",
      pattern: "pattern",
      in: "enum",
      const: "const",
    }),
    ...(text.len !== undefined && { minLength: Number(text.len), maxLength: Number(text.len) }),
    ...(format !== undefined && { format }),
    ...Object.assign(
      {},
      ...numbers.map((number) =>
        pick(number, {
          gte: "minimum",
          gt: "exclusiveMinimum",
          lte: "maximum",
          lt: "exclusiveMaximum",
          in: "enum",
          const: "const",
        }),
      ),
    ),
  };
}

/** Renames what is there. Sizes are 64-bit numbers, which JSON has as strings. */
function pick(rules: JsonObject, names: Readonly<Record<string, string>>): JsonSchema {
  return Object.fromEntries(
    Object.entries(names)
      .filter(([from]) => rules[from] !== undefined)
      .map(([from, to]) => [to, isSize(to) ? Number(rules[from]) : (rules[from] as JsonValue)]),
  );
}

function isSize(keyword: string): boolean {
  return /^(?:min|max)(?:Length|Items|Properties)$/.test(keyword);
}

function toObject(value: JsonValue | undefined): JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
}
