/** Any JSON value (RFC 8259 §3), only to be read. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;

/** A JSON object, only to be read. */
export type JsonObject = { readonly [name: string]: JsonValue };
