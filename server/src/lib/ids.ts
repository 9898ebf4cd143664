import { randomUUID } from "node:crypto";

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Whether a text has the shape of a UUID (RFC 9562 §4), of any version. */
export function isUuid(text: string): boolean {
  return uuidPattern.test(text);
}

/** How ids of the latest millisecond begin: a busy server makes dozens in each. */
let latest = { ms: Number.NaN, begin: "" };

/**
 * Makes a UUIDv7 (RFC 9562 §5.7): 48 bits of milliseconds, then 74 random
 * bits. Ids made later sort later, which keeps inserts at one end of an index.
 */
export function newId(now: Date): string {
  const ms = now.getTime();
  if (ms !== latest.ms) {
    const time = ms.toString(16).padStart(12, "0");
    latest = { ms, begin: `${time.slice(0, 8)}-${time.slice(8)}-7` };
  }
  // Node keeps random UUIDs in stock: their digits are to be had much faster than random bytes.
  return latest.begin + randomUUID().slice(15);
}
