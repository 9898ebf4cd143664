import { createHash } from "node:crypto";
import { isUuid } from "../lib/ids.ts";

/** Namespace of ids that other systems give their own things (RFC 9562 §6.6). */
const namespace = Buffer.from("6b1d1c2e9f0b4c4a8a52d1e37f0c9b44", "hex");

/**
 * The id that something of another system has here: a UUID is kept, any other
 * text comes to a UUID of its own (RFC 9562 §5.5, version 5), every time to the
 * same. So what was imported is known again without a list of what was.
 *
 * @param path what the text is an id of: the kind, and the system it is from
 */
export function toNamedId(path: readonly string[], text: string): string {
  if (isUuid(text)) return text.toLowerCase();
  const name = JSON.stringify([...path, text]);
  const bytes = createHash("sha1").update(namespace).update(name).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
