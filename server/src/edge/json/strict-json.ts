/**
 * This room reads JSON of RPC and of REST and names every place in it that does
 * not fit its message. It knows neither paths nor headers, and writes no JSON.
 *
 * JSON that means one thing only (RFC 8259 §4, RFC 7493). A parser of its own,
 * for two faults of `JSON.parse`: it keeps the last of two equal keys, which
 * lets two readers of one body see different requests; and V8 13.6 reads a key
 * of one escaped character as a backslash once it has seen an object with that
 * key.
 */
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { DomainError } from "../../lib/errors.ts";
import { invalidRequest, invalidValues } from "../../lib/invalid-request.ts";
import { joinPath, toViolation } from "./refusals.ts";

/** Deepest nesting of objects and arrays. */
const depthLimit = 64;

/**
 * Most values, those in objects and arrays counted. Bodies are read before
 * anybody is asked who they are, and a mebibyte of `{}` costs ten times the
 * work of a mebibyte of text.
 */
const valueLimit = 50_000;

/**
 * Parses a body.
 *
 * @throws {DomainError} INVALID_REQUEST for what is not UTF-8 or not JSON, for
 *   a key given twice in one object, the key `__proto__`, nesting beyond 64,
 *   more than 50000 values, numbers beyond the range of a double, and escapes that make no Unicode text
 */
export function parseStrictJson(bytes: Uint8Array): JsonValue {
  return new Parser(decode(bytes)).parse();
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decode(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw invalidRequest("request body is not valid UTF-8");
  }
}

const quote = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const openBracket = 0x5b;
const backslash = 0x5c;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;

const literals: readonly (readonly [text: string, value: JsonValue])[] = [
  ["true", true],
  ["false", false],
  ["null", null],
];

/** Reads one text from the front; the grammar is RFC 8259's. */
class Parser {
  readonly #text: string;
  /** Index of the next character. */
  #at = 0;
  /** Values begun so far. */
  #count = 0;
  /** Keys and indices that lead to the present value. */
  readonly #path: (string | number)[] = [];

  constructor(text: string) {
    this.#text = text;
  }

  parse(): JsonValue {
    const value = this.#value();
    if (this.#next() !== undefined) throw notJson();
    return value;
  }

  #value(): JsonValue {
    this.#count++;
    if (this.#count > valueLimit) {
      throw invalidRequest(`request body has more than ${valueLimit} values`);
    }
    switch (this.#next()) {
      case openBrace:
        return this.#object();
      case openBracket:
        return this.#array();
      case quote:
        return this.#string();
      default:
        return this.#literalOrNumber();
    }
  }

  #object(): JsonObject {
    const object: JsonObject = {};
    const level = this.#enter();
    for (let isFirst = true; !this.#ends(closeBrace, isFirst); isFirst = false) {
      if (this.#next() !== quote) throw notJson();
      this.#path[level] = "";
      const key = this.#string();
      this.#path[level] = key;
      if (key === "__proto__") throw this.#refusal("is not expected");
      if (Object.hasOwn(object, key)) throw this.#refusal("is given more than once");
      if (this.#next() !== colon) throw notJson();
      this.#at++;
      object[key] = this.#value();
    }
    this.#path.pop();
    return object;
  }

  #array(): JsonValue[] {
    const array: JsonValue[] = [];
    const level = this.#enter();
    for (let isFirst = true; !this.#ends(closeBracket, isFirst); isFirst = false) {
      this.#path[level] = array.length;
      array.push(this.#value());
    }
    this.#path.pop();
    return array;
  }

  /** Goes into an object or array, and returns its place in the path. */
  #enter(): number {
    if (this.#path.length === depthLimit) {
      throw invalidRequest(`request body is nested deeper than ${depthLimit} levels`);
    }
    this.#at++;
    return this.#path.push("") - 1;
  }

  /** Whether an object or array ends here; else what separates its parts is passed. */
  #ends(closing: number, isFirst: boolean): boolean {
    const next = this.#next();
    if (next === closing) {
      this.#at++;
      return true;
    }
    if (isFirst) return false;
    if (next !== comma) throw notJson();
    this.#at++;
    return false;
  }

  #string(): string {
    const start = this.#at + 1;
    let hasEscapes = false;
    for (let index = start; index < this.#text.length; index++) {
      const code = this.#text.charCodeAt(index);
      if (code === quote) {
        this.#at = index + 1;
        return hasEscapes
          ? this.#unescape(this.#text.slice(start - 1, index + 1))
          : this.#text.slice(start, index);
      }
      if (code < 0x20) break;
      if (code === backslash) {
        hasEscapes = true;
        index++;
      }
    }
    throw notJson();
  }

  #unescape(quoted: string): string {
    const text = parseString(quoted);
    if (!text.isWellFormed()) throw this.#refusal("must be valid Unicode text");
    return text;
  }

  #literalOrNumber(): JsonValue {
    const literal = literals.find(([text]) => this.#text.startsWith(text, this.#at));
    if (literal === undefined) return this.#number();
    this.#at += literal[0].length;
    return literal[1];
  }

  #number(): number {
    numberPattern.lastIndex = this.#at;
    const [digits] = numberPattern.exec(this.#text) ?? [];
    if (digits === undefined) throw notJson();
    const number = Number(digits);
    if (!Number.isFinite(number)) throw this.#refusal("must be a number within the range of a double");
    this.#at += digits.length;
    return number;
  }

  /** Code of the next character that is no space; undefined at the end. */
  #next(): number | undefined {
    for (; this.#at < this.#text.length; this.#at++) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return code;
    }
    return undefined;
  }

  #refusal(description: string): DomainError {
    const path = this.#path.reduce<string>(
      (before, at) => (typeof at === "number" ? `${before}[${at}]` : joinPath(before, at)),
      "",
    );
    return invalidValues([toViolation(path, description)]);
  }
}

/** A string in its quotes, with escapes. */
function parseString(quoted: string): string {
  try {
    return JSON.parse(quoted) as string;
  } catch {
    throw notJson();
  }
}

function notJson(): DomainError {
  return invalidRequest("request body is not valid JSON");
}

/** A JSON object, neither null nor an array. */
export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
