import { DomainError } from "../../lib/errors.ts";
import { decodePercent } from "./request-path.ts";

/** One parameter, decoded. */
export interface Parameter {
  readonly name: string;
  readonly value: string;
}

/**
 * Reads a query in the order it was written; a plus is a space.
 *
 * @throws {DomainError} INVALID_REQUEST for an escape that is not UTF-8
 */
export function parseQuery(query: string): Parameter[] {
  return query
    .split("&")
    .filter((part) => part !== "")
    .map((part) => {
      const equals = part.indexOf("=");
      return equals < 0
        ? { name: decode(part), value: "" }
        : { name: decode(part.slice(0, equals)), value: decode(part.slice(equals + 1)) };
    });
}

function decode(text: string): string {
  const decoded = decodePercent(text.replaceAll("+", " "));
  if (decoded === undefined) {
    throw new DomainError("INVALID_REQUEST", { message: "query has an escape that is not UTF-8" });
  }
  return decoded;
}
