/**
 * Takes a request's path and query apart (RFC 9112 §3.2), normalising nothing:
 * what is spelled in an unusual way matches no route, so that no two spellings
 * of one hierarchy reach a handler.
 */
import { invalidRequest } from "../../lib/invalid-request.ts";

/** A path in its segments. */
export interface RequestPath {
  /** As sent: what literals are compared with. */
  readonly raw: readonly string[];
  /** Percent-decoded once: what variables take. */
  readonly decoded: readonly string[];
  /** What follows the last colon of the last segment, as sent; empty without one. */
  readonly verb: string;
}

/**
 * Takes a raw path apart; undefined for one that can match no route: it has an
 * empty segment (`//`, a slash at the end), a dot segment, an encoded slash or
 * backslash, a control character, or an escape that is not UTF-8.
 *
 * A colon in the last segment always begins a verb; a value that has one there
 * is sent with `%3A`.
 */
export function splitRequestPath(path: string): RequestPath | undefined {
  if (!path.startsWith("/")) return undefined;
  const raw = path.slice(1).split("/");
  const last = raw.at(-1) ?? "";
  const colon = last.lastIndexOf(":");
  if (colon >= 0) raw[raw.length - 1] = last.slice(0, colon);
  const decoded: string[] = [];
  for (const segment of raw) {
    const text = decodeSegment(segment);
    if (text === undefined) return undefined;
    decoded.push(text);
  }
  if (colon === last.length - 1) return undefined;
  return { raw, decoded, verb: colon < 0 ? "" : last.slice(colon + 1) };
}

/** A segment's value; undefined when it is none that a path may have. */
function decodeSegment(segment: string): string | undefined {
  if (segment === "") return undefined;
  const text = segment.includes("%") ? decodePercent(segment) : segment;
  return text === undefined || isDots(text) || hasForbidden(text) ? undefined : text;
}

/** Decodes escapes as UTF-8; undefined for one that is malformed. */
function decodePercent(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** Whether a segment stands for a place in the hierarchy and not for a name (RFC 3986 §3.3). */
export function isDots(segment: string): boolean {
  return segment === "." || segment === "..";
}

/** Slashes of either kind and control characters. */
function hasForbidden(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code < 0x20 || code === 0x2f || code === 0x5c || code === 0x7f) return true;
  }
  return false;
}

/** A parameter of a query, decoded. */
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
    throw invalidRequest("query has an escape that is not UTF-8");
  }
  return decoded;
}
