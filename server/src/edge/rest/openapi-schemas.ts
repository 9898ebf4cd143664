import { type DescEnum, type DescField, type DescMessage, getOption, ScalarType } from "@bufbuild/protobuf";
import { isWrapperDesc } from "@bufbuild/protobuf/wkt";
import { FieldBehavior, field_behavior } from "@vestibule/proto/google/api/field_behavior_pb";
import { example as exampleOption } from "@vestibule/proto/vestibule/v1/options_pb";
import type { Style } from "./binding.ts";
import { isImplicit, type JsonSchema, readKeywords } from "./openapi-rules.ts";

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
 * Schemas of messages and enums, gathered as they are referred to: each
 * becomes a component once, by its full name.
 */
export class SchemaComponents {
  readonly components: Record<string, JsonSchema> = {};
  readonly #comments: Comments;
  readonly #requested: ReadonlySet<DescMessage>;

  /** @param requests messages that callers send; whatever they hold is theirs to leave out. */
  constructor(comments: Comments, requests: readonly DescMessage[]) {
    this.#comments = comments;
    this.#requested = collectMessages(requests);
  }

  /** The comment on something; undefined when it has none. */
  describe(fullName: string): { description: string } | undefined {
    const description = this.#comments[fullName];
    return description === undefined ? undefined : { description };
  }

  /** A message's schema: a reference, or for a well-known one itself. */
  message(type: DescMessage, style: Style): JsonSchema {
    const known = wellKnownSchemas[type.typeName];
    if (known !== undefined) return known;
    if (isWrapperDesc(type)) return scalarSchemas[type.fields[0].scalar];
    const name = style === "frontier" ? `frontier.${type.typeName}` : type.typeName;
    if (this.components[name] === undefined) {
      // Set first: a message may hold itself.
      this.components[name] = {};
      this.components[name] = { ...this.describe(type.typeName), ...this.#message(type, style) };
    }
    return { $ref: `#/components/schemas/${name}` };
  }

  /** Answers have every field without presence, also when it is empty; Frontier's leave it out. */
  #message(type: DescMessage, style: Style): JsonSchema {
    const object = this.object(type.fields, style);
    if (style === "frontier" || this.#requested.has(type)) return object;
    const required = type.fields.filter(isAlwaysThere).map(({ jsonName }) => jsonName);
    return { ...object, ...(required.length > 0 && { required }) };
  }

  /** An object that a caller sends, which has these fields. */
  object(fields: readonly DescField[], style: Style): JsonSchema {
    const required = fields.filter(isRequired).map((field) => toName(field, style));
    return {
      type: "object",
      properties: Object.fromEntries(fields.map((field) => [toName(field, style), this.field(field, style)])),
      ...(required.length > 0 && { required }),
    };
  }

  /** A field's schema, with its comment and rules. */
  field(field: DescField, style: Style): JsonSchema {
    const { whole, item } = readKeywords(field);
    const behaviors = getOption(field, field_behavior);
    const example = getOption(field, exampleOption);
    return {
      ...this.#shape(field, item, style),
      ...this.describe(`${field.parent.typeName}.${field.name}`),
      ...whole,
      ...(example !== "" && { examples: [JSON.parse(example)] }),
      ...(behaviors.includes(FieldBehavior.OUTPUT_ONLY) && { readOnly: true }),
      ...(behaviors.includes(FieldBehavior.INPUT_ONLY) && { writeOnly: true }),
    };
  }

  #shape(field: DescField, item: JsonSchema, style: Style): JsonSchema {
    const value = { ...this.#value(field, style), ...item };
    if (field.fieldKind === "list") return { type: "array", items: value };
    return field.fieldKind === "map" ? { type: "object", additionalProperties: value } : value;
  }

  #value({ scalar, enum: names, message }: DescField, style: Style): JsonSchema {
    if (scalar !== undefined) return scalarSchemas[scalar];
    return names === undefined ? this.message(message as DescMessage, style) : this.#enum(names);
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

/** The messages, and all that their fields hold. */
function collectMessages(roots: readonly DescMessage[]): Set<DescMessage> {
  const found = new Set<DescMessage>();
  const queue = [...roots];
  for (let type = queue.pop(); type !== undefined; type = queue.pop()) {
    if (found.has(type)) continue;
    found.add(type);
    for (const { message } of type.fields) if (message !== undefined) queue.push(message);
  }
  return found;
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
