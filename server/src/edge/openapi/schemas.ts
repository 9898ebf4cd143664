import { type DescEnum, type DescField, type DescMessage, getOption, ScalarType } from "@bufbuild/protobuf";
import { isWrapperDesc } from "@bufbuild/protobuf/wkt";
import { FieldBehavior, field_behavior } from "@vestibule/proto/google/api/field_behavior_pb";
import { example as exampleOption } from "@vestibule/proto/vestibule/v1/options_pb";
import type { Style } from "../rest/binding.ts";
import { isImplicit, type JsonSchema, readKeywords } from "./rules.ts";

/** Comments by full name of what they are on. */
export type Comments = Readonly<Record<string, string>>;

const scalarSchemas: Record<ScalarType, JsonSchema> = {
  [ScalarType.DOUBLE]: { type: "number", format: "double" },
  [ScalarType.FLOAT]: { type: "number", format: "float" },
  [ScalarType.INT64]: { type: "string", format: "int64" },
  [ScalarType.UINT64]: { type: "string", format: "uint64" },
  [ScalarType.INT32]: { type: "integer", format: "int32" },
  [ScalarType.FIXED64]: { type: "string", format: "uint64" },
  [ScalarType.FIXED32]: { type: "integer", format: "uint32" },
  [ScalarType.BOOL]: { type: "boolean" },
  [ScalarType.STRING]: { type: "string" },
  [ScalarType.BYTES]: { type: "string", contentEncoding: "base64" },
  [ScalarType.UINT32]: { type: "integer", format: "uint32" },
  [ScalarType.SFIXED32]: { type: "integer", format: "int32" },
  [ScalarType.SFIXED64]: { type: "string", format: "int64" },
  [ScalarType.SINT32]: { type: "integer", format: "int32" },
  [ScalarType.SINT64]: { type: "string", format: "int64" },
};

/** Messages with a JSON of their own. */
const wellKnownSchemas: Readonly<Record<string, JsonSchema>> = {
  "google.protobuf.Timestamp": { type: "string", format: "date-time" },
  "google.protobuf.Duration": { type: "string", pattern: "^-?[0-9]+(?:\\.[0-9]{1,9})?s$" },
  "google.protobuf.FieldMask": { type: "string" },
  "google.protobuf.Struct": { type: "object", additionalProperties: true },
  "google.protobuf.ListValue": { type: "array", items: {} },
  "google.protobuf.Value": {},
  "google.protobuf.Any": { type: "object", required: ["@type"] },
};

/**
 * Who writes it. What callers send has no other fields than these, and `null`
 * for what is absent; what they are answered has every field without presence,
 * and may have more fields one day.
 */
export type Direction = "sent" | "answered";

/**
 * Schemas of messages and enums, gathered as they are referred to: each
 * becomes a component once, by its full name; a message that callers send by
 * that name with `.Input`.
 */
export class SchemaComponents {
  readonly components: Record<string, JsonSchema> = {};
  readonly #comments: Comments;

  constructor(comments: Comments) {
    this.#comments = comments;
  }

  /** The comment on something; undefined when it has none. */
  describe(fullName: string): { description: string } | undefined {
    const description = this.#comments[fullName];
    return description === undefined ? undefined : { description };
  }

  /** A message's schema: a reference, or for a well-known one itself. */
  message(type: DescMessage, style: Style, direction: Direction): JsonSchema {
    const known = wellKnownSchemas[type.typeName];
    if (known !== undefined) return known;
    if (isWrapperDesc(type)) return scalarSchemas[type.fields[0].scalar];
    const prefix = style === "frontier" ? "frontier." : "";
    const name = `${prefix}${type.typeName}${direction === "sent" ? ".Input" : ""}`;
    if (this.components[name] === undefined) {
      // Set first: a message may hold itself.
      this.components[name] = {};
      const shape = direction === "sent" ? this.sent(type.fields, style) : this.#answered(type, style);
      this.components[name] = { ...this.describe(type.typeName), ...shape };
    }
    return { $ref: `#/components/schemas/${name}` };
  }

  /** Frontier's answers leave out what is empty. */
  #answered({ fields }: DescMessage, style: Style): JsonSchema {
    const required = style === "frontier" ? [] : fields.filter(isAlwaysThere);
    return toObject(fields, required, style, (field) => this.field(field, style, "answered"));
  }

  /** An object that a caller sends, which has these fields and, where Frontier does not drop them, no others. */
  sent(fields: readonly DescField[], style: Style): JsonSchema {
    const required = fields.filter(isRequired);
    const toSchema = (field: DescField) => {
      const schema = this.field(field, style, "sent");
      return required.includes(field) ? schema : orNull(schema);
    };
    const closed = style === "frontier" ? {} : { additionalProperties: false };
    return { ...toObject(fields, required, style, toSchema), ...closed };
  }

  /** A field's schema, with its comment and rules. */
  field(field: DescField, style: Style, direction: Direction): JsonSchema {
    const { whole, item } = readKeywords(field);
    const behaviors = getOption(field, field_behavior);
    const example = getOption(field, exampleOption);
    return {
      ...this.#shape(field, item, style, direction),
      ...this.describe(`${field.parent.typeName}.${field.name}`),
      ...whole,
      ...(example !== "" && { examples: [JSON.parse(example)] }),
      ...(behaviors.includes(FieldBehavior.OUTPUT_ONLY) && { readOnly: true }),
      ...(behaviors.includes(FieldBehavior.INPUT_ONLY) && { writeOnly: true }),
    };
  }

  #shape(field: DescField, item: JsonSchema, style: Style, direction: Direction): JsonSchema {
    const value = { ...this.#value(field, style, direction), ...item };
    if (field.fieldKind === "list") return { type: "array", items: value };
    return field.fieldKind === "map" ? { type: "object", additionalProperties: value } : value;
  }

  #value({ scalar, enum: names, message }: DescField, style: Style, direction: Direction): JsonSchema {
    if (scalar !== undefined) return scalarSchemas[scalar];
    return names === undefined ? this.message(message as DescMessage, style, direction) : this.#enum(names);
  }

  #enum(type: DescEnum): JsonSchema {
    this.components[type.typeName] ??= {
      ...this.describe(type.typeName),
      type: "string",
      enum: type.values.map(({ jsonName }) => jsonName),
    };
    return { $ref: `#/components/schemas/${type.typeName}` };
  }
}

function toObject(
  fields: readonly DescField[],
  required: readonly DescField[],
  style: Style,
  toSchema: (field: DescField) => JsonSchema,
): JsonSchema {
  return {
    type: "object",
    properties: Object.fromEntries(fields.map((field) => [toName(field, style), toSchema(field)])),
    ...(required.length > 0 && { required: required.map((field) => toName(field, style)) }),
  };
}

/** What fits the schema, and `null`. */
function orNull(schema: JsonSchema): JsonSchema {
  const { $ref, type, enum: values, ...rest } = schema;
  if ($ref !== undefined) return { anyOf: [{ $ref }, { type: "null" }], ...rest };
  // One without a type takes anything.
  if (typeof type !== "string") return schema;
  return { ...rest, type: [type, "null"], ...(Array.isArray(values) && { enum: [...values, null] }) };
}

function isAlwaysThere(field: DescField): boolean {
  return field.fieldKind === "list" || field.fieldKind === "map" || isImplicit(field);
}

/** Whether a request must have the field. */
export function isRequired(field: DescField): boolean {
  return readKeywords(field).isRequired || getOption(field, field_behavior).includes(FieldBehavior.REQUIRED);
}

function toName({ name, jsonName }: DescField, style: Style): string {
  return style === "frontier" ? name : jsonName;
}
