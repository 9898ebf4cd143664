/**
 * The grammar of paths in `google.api.http`:
 *
 *     Template  = "/" Segments [ ":" Verb ]
 *     Segments  = Segment { "/" Segment }
 *     Segment   = "*" | "**" | Literal | Variable
 *     Variable  = "{" FieldPath [ "=" Segments ] "}"
 *
 * `*` is one segment, `**` is any number of them and comes last, and `{a}` is
 * short for `{a=*}`. Variables do not nest.
 *
 * @see google/api/http.proto, "Path template syntax"
 */
import { isDots } from "./request-target.ts";

/** One segment of a template: a literal as written, or a wildcard. */
export type Segment = { readonly literal: string } | { readonly wildcard: "*" | "**" };

/** A field of the request that takes its value from some of a path's segments. */
export interface Variable {
  /** As written in the template: `name`, `shelf.id`. */
  readonly fieldPath: string;
  /** Index of its first segment. */
  readonly start: number;
  /** Index after its last one; undefined when it ends with `**` and takes the rest. */
  readonly end: number | undefined;
}

/** A template, read. */
export interface PathTemplate {
  /** As written; names the route in log and metrics. */
  readonly text: string;
  readonly segments: readonly Segment[];
  readonly variables: readonly Variable[];
  /** Without its colon; empty when there is none. */
  readonly verb: string;
}

const identifier = "[A-Za-z_][A-Za-z0-9_]*";
const fieldPathPattern = new RegExp(`^${identifier}(?:\\.${identifier})*$`);

/** Of the characters a path segment may have unescaped (RFC 3986 §3.3), all but the grammar's own. */
const literalPattern = /^[A-Za-z0-9\-._~!$&'()+,;@]+$/;

/**
 * Reads a template.
 *
 * @throws Error that says what is wrong, without the template
 */
export function parsePathTemplate(text: string): PathTemplate {
  if (!text.startsWith("/")) throw new Error("a path begins with /");
  const [path, verb] = splitVerb(text);
  const segments: Segment[] = [];
  const variables: Variable[] = [];
  for (const part of splitParts(path.slice(1))) {
    if (part.startsWith("{")) {
      readVariable(part, segments, variables);
    } else {
      segments.push(readSegment(part));
    }
  }
  if (segments.slice(0, -1).some(isRest)) throw new Error("** may only come last");
  const names = variables.map(({ fieldPath }) => fieldPath);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new Error(`{${twice}} appears twice`);
  return { text, segments, variables, verb };
}

function splitVerb(text: string): readonly [path: string, verb: string] {
  const colon = text.indexOf(":", text.lastIndexOf("}") + 1);
  if (colon < 0) return [text, ""];
  const verb = text.slice(colon + 1);
  if (!literalPattern.test(verb)) throw new Error(`":${verb}" is not a verb`);
  return [text.slice(0, colon), verb];
}

/** Splits at slashes that are outside of variables. */
function splitParts(path: string): string[] {
  const parts = path.match(/\{[^{}]*\}(?=\/|$)|[^/{}]+(?=\/|$)/g) ?? [];
  if (path === "" || parts.join("/") !== path)
    throw new Error("a segment is empty, or a brace is out of place");
  return parts;
}

function readVariable(part: string, segments: Segment[], variables: Variable[]): void {
  const inside = part.slice(1, -1);
  const equals = inside.indexOf("=");
  const fieldPath = equals < 0 ? inside : inside.slice(0, equals);
  if (!fieldPathPattern.test(fieldPath)) throw new Error(`"${fieldPath}" is not a field path`);
  const start = segments.length;
  const pattern = equals < 0 ? "*" : inside.slice(equals + 1);
  segments.push(...pattern.split("/").map(readSegment));
  const last = segments.at(-1);
  variables.push({ fieldPath, start, end: last && isRest(last) ? undefined : segments.length });
}

function readSegment(part: string): Segment {
  if (part === "*" || part === "**") return { wildcard: part };
  if (!literalPattern.test(part) || isDots(part)) throw new Error(`"${part}" is not a segment`);
  return { literal: part };
}

function isRest(segment: Segment): boolean {
  return "wildcard" in segment && segment.wildcard === "**";
}
