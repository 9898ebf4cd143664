/**
 * Columns that hold JSON as text: what is in one is said once, as a schema, and
 * written and read by it alone.
 *
 * A schema's stored side has to be JSON, or it does not compile: a `Date` is
 * declared as an {@link instant} and comes back as one. What was stored and
 * does not fit is an error that names the column, not a value of another type.
 */
import { z } from "zod";
import type { JsonObject, JsonValue } from "../lib/json.ts";
import type { Schema } from "./schema.ts";

/** Writes and reads one column's values. */
export interface JsonColumn<T> {
  /** @throws Error naming the column when the value does not fit its schema */
  encode(value: T): string;
  /** @throws Error naming the column when the text is no JSON, or does not fit its schema; never quotes it */
  decode(text: string): T;
}

/** Names a column as an operator looks for it: `users.metadata`. */
type ColumnName = { [T in keyof Schema]: `${T}.${keyof Schema[T] & string}` }[keyof Schema];

/** Declares what a column holds. Members that the schema does not name are left out. */
export function jsonColumn<T>(name: ColumnName, schema: z.ZodType<T, JsonValue>): JsonColumn<T> {
  const checked = <V>(result: z.ZodSafeParseResult<V>): V => {
    if (result.success) return result.data;
    const [issue] = result.error.issues;
    const at = issue?.path.length ? ` at ${issue.path.join(".")}` : "";
    // The issue itself is not the cause: others than these may quote what may be secret.
    throw new Error(`${name} holds what does not belong there${at}: ${issue?.code}`);
  };
  return {
    encode: (value) => JSON.stringify(checked(schema.safeEncode(value))),
    decode: (text) => checked(schema.safeDecode(parse(name, text))),
  };
}

function parse(name: string, text: string): JsonValue {
  try {
    return JSON.parse(text);
  } catch {
    // Without a cause: the parser's message quotes what may be secret.
    throw new Error(`${name} holds what is not JSON`);
  }
}

/** An instant, stored as whole milliseconds since the epoch, as columns of instants are. */
export const instant = z.codec(z.int(), z.date(), {
  decode: (ms) => new Date(ms),
  encode: (date) => date.getTime(),
});

/** Any JSON value, as it is. */
export const jsonValue = z.custom<JsonValue>((value) => value !== undefined);

/** Any JSON object, as it is. */
export const jsonObject = z.custom<JsonObject>(isObject);

/** A JSON object of texts, as it is. */
export const jsonTexts = z.custom<Readonly<Record<string, string>>>(
  (value) => isObject(value) && Object.values(value).every((each) => typeof each === "string"),
);

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Asks of `z.object` to name every member of a type, those that may be absent included: `satisfies MembersOf<T>`. */
export type MembersOf<T> = Readonly<Record<keyof T, z.ZodType>>;
