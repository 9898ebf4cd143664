/**
 * Reads the JSON of an RPC's request. By the parser that REST has, which is
 * quicker than the library's (that parses twice, to find keys given twice),
 * reads every key right, and whose path leads to what is wrong.
 */
import {
  create,
  type DescMessage,
  fromJson,
  type JsonValue,
  type MessageShape,
  type Registry,
} from "@bufbuild/protobuf";
import { DomainError } from "../../lib/errors.ts";
import { invalidFields, invalidRequest } from "../../lib/invalid-request.ts";
import { isJsonObject, parseStrictJson } from "./strict-json.ts";
import { findTypeErrors, type Reading } from "./type-errors.ts";

/** What reading takes beside the message. */
export interface JsonOptions {
  /** What the schema does not know, a field or a name of an enum, is refused, not dropped. */
  readonly refusesUnknown: boolean;
  /** Types that a `google.protobuf.Any` may hold. */
  readonly registry?: Registry | undefined;
}

/** Fields go by either of their names; refusals name them as the schema does. */
const nameOf: Reading["nameOf"] = (field) => field.name;

/**
 * Reads a message; null stands for a field that is not there.
 *
 * @throws {DomainError} INVALID_REQUEST naming every value that does not fit, by its path
 */
export function readJson<Desc extends DescMessage>(
  type: Desc,
  bytes: Uint8Array,
  { refusesUnknown, registry }: JsonOptions,
): MessageShape<Desc> {
  if (isEmptyObject(bytes) && !type.typeName.startsWith("google.protobuf.")) return create(type);
  const json = parse(bytes);
  if (!isJsonObject(json)) throw invalidRequest(notJson);
  try {
    return fromJson(type, json, {
      ignoreUnknownFields: !refusesUnknown,
      ...(registry !== undefined && { registry }),
    });
  } catch {
    const found = findTypeErrors(type, json, { ignoresUnknown: !refusesUnknown, suggests: true, nameOf });
    throw found.length > 0 ? invalidFields(found) : invalidRequest(notJson);
  }
}

/** `{}`, which half of all calls send. */
function isEmptyObject(bytes: Uint8Array): boolean {
  return bytes.length === 2 && bytes[0] === 0x7b && bytes[1] === 0x7d;
}

/**
 * A decoder of UTF-8 that refuses what {@link readJson} does: for the library,
 * whose parser then has nothing left to refuse.
 */
export function createJsonDecoder(
  type: DescMessage,
  options: JsonOptions,
): { decode(bytes: Uint8Array): string } {
  const decoder = new TextDecoder();
  return {
    decode(bytes) {
      readJson(type, bytes, options);
      return decoder.decode(bytes);
    },
  };
}

const notJson = "request body is not valid JSON for this method";

function parse(bytes: Uint8Array): JsonValue {
  try {
    return parseStrictJson(bytes);
  } catch (error) {
    // Named as the schema's rules are, not as REST names its values.
    const isAboutFields = error instanceof DomainError && error.violations.length > 0;
    throw isAboutFields ? invalidFields(error.violations) : error;
  }
}
