/**
 * Makes the request message of a binding out of path, query and body: one
 * JSON object, parsed once, so that types, presence and names are judged as in
 * every other JSON of the schema.
 */
import {
  type DescField,
  equals,
  fromJson,
  type JsonObject,
  type JsonValue,
  type Message,
} from "@bufbuild/protobuf";
import type { DomainError, FieldViolation } from "../../lib/errors.ts";
import { invalidRequest, invalidValues } from "../../lib/invalid-request.ts";
import { toViolation } from "../json/refusals.ts";
import { isJsonObject, parseStrictJson } from "../json/strict-json.ts";
import { findFieldTypeErrors, findTypeErrors, type Reading } from "../json/type-errors.ts";
import { textToJson } from "../json/value-types.ts";
import type { Binding } from "./binding.ts";
import { toClientPath } from "./client-path.ts";
import {
  dropInField,
  dropOutputOnly,
  type FieldPath,
  findKey,
  findTextField,
  leafOf,
  openParent,
  setField,
  toSchemaPath,
} from "./field-path.ts";
import { parseQuery } from "./request-target.ts";
import type { PathValue } from "./route-table.ts";

/** The parts of a request that its message is made of. */
export interface RequestParts {
  /** In the order of the template's variables. */
  readonly pathValues: readonly PathValue[];
  /** As sent, without the question mark. */
  readonly query: string;
  readonly body: Uint8Array;
}

/**
 * Reads the request message.
 *
 * A field that the path has may be repeated in body or query, if it is equal.
 * An empty body is an empty message.
 *
 * @throws {DomainError} INVALID_REQUEST naming every value that does not fit,
 *   by its path as the client wrote it
 */
export function readRequestMessage(binding: Binding, parts: RequestParts): Message {
  const json = readBody(binding, parts.body);
  addPath(binding, json, parts.pathValues);
  addQuery(binding, json, parts);
  try {
    return fromJson(binding.method.input, json, { ignoreUnknownFields: toReading(binding).ignoresUnknown });
  } catch {
    throw explain(binding, json);
  }
}

function readBody({ body, method }: Binding, bytes: Uint8Array): JsonObject {
  if (bytes.byteLength === 0) return {};
  if (body === "none") {
    throw invalidRequest("this operation takes no request body");
  }
  const value = parseStrictJson(bytes);
  if (body !== "message") {
    dropInField(body, value);
    return { [body.jsonName]: value };
  }
  if (!isJsonObject(value)) throw invalidValues([toViolation("", "must be of object")]);
  dropOutputOnly(method.input, value);
  return value;
}

function addPath(binding: Binding, json: JsonObject, values: readonly PathValue[]): void {
  for (const [index, { fieldPath, text }] of values.entries()) {
    const path = binding.pathFields[index] as FieldPath;
    const value = textToJson(leafOf(path), text, fieldPath);
    const parent = openParent(json, path);
    if (parent === undefined) throw explain(binding, json);
    const key = findKey(parent, leafOf(path));
    if (key === undefined) setField(parent, leafOf(path), value);
    else if (!isSame(leafOf(path), parent[key] as JsonValue, value)) {
      throw differsFromPath(toClientPath(binding, toSchemaPath(path)));
    }
  }
}

function differsFromPath(name: string): DomainError {
  return invalidValues([toViolation(name, "must be equal to the one in the path")]);
}

/** Whether two JSON values are one value of a field. */
function isSame(field: DescField, one: JsonValue, other: JsonValue): boolean {
  if (one === other) return true;
  const toMessage = (value: JsonValue) => fromJson(field.parent, { [field.jsonName]: value });
  try {
    return equals(field.parent, toMessage(one), toMessage(other));
  } catch {
    return false;
  }
}

function addQuery(binding: Binding, json: JsonObject, { query, pathValues }: RequestParts): void {
  if (query === "") return;
  const seen = new Set<string>();
  for (const { name, value } of parseQuery(query)) {
    const path = findParameter(binding, name);
    if (path === undefined) throw invalidValues([toViolation(name || "query", "is not expected")]);
    const leaf = leafOf(path);
    const schemaPath = toSchemaPath(path);
    const inPath = pathValues.find(({ fieldPath }) => fieldPath === schemaPath);
    const given = textToJson(leaf, value, name);
    if (inPath !== undefined) {
      if (!isSame(leaf, given, textToJson(leaf, inPath.text, name))) throw differsFromPath(name);
      continue;
    }
    if (seen.has(schemaPath) && leaf.fieldKind !== "list") {
      throw invalidValues([toViolation(name, "is given more than once")]);
    }
    seen.add(schemaPath);
    addParameter(json, path, given);
  }
}

/** The field of a query parameter: any that neither the body nor only answers have. */
function findParameter({ body, method }: Binding, name: string): FieldPath | undefined {
  const path = body === "message" ? undefined : findTextField(method.input, name);
  return path !== undefined && path[0] !== body ? path : undefined;
}

function addParameter(json: JsonObject, path: FieldPath, value: JsonValue): void {
  // Only body and path put other things there, and neither has the fields of a query.
  const parent = openParent(json, path) ?? {};
  const leaf = leafOf(path);
  const key = findKey(parent, leaf);
  const present = key === undefined ? undefined : parent[key];
  setField(
    parent,
    leaf,
    leaf.fieldKind === "list" ? [...(Array.isArray(present) ? present : []), value] : value,
  );
}

/** Why the schema's parser did not take the JSON. */
function explain(binding: Binding, json: JsonObject): DomainError {
  const { body, method } = binding;
  const reading = toReading(binding);
  const found: FieldViolation[] = [];
  if (body !== "message" && body !== "none") {
    found.push(...findFieldTypeErrors(body, json[body.jsonName] ?? null, reading));
  }
  if (found.length === 0) found.push(...findTypeErrors(method.input, json, reading));
  return found.length > 0 ? invalidValues(found) : invalidRequest("request is not valid for this operation");
}

/**
 * REST names what it refuses as its sender does, in words that others have
 * published. What Frontier has no field for it drops: its screens send back
 * whole what they were answered.
 */
function toReading({ style }: Binding): Reading {
  return { ignoresUnknown: style === "frontier", suggests: false, nameOf: (_, key) => key };
}
