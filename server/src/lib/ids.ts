import { randomFillSync } from "node:crypto";

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Whether a text has the shape of a UUID (RFC 9562 §4), of any version. */
export function isUuid(text: string): boolean {
  return uuidPattern.test(text);
}

/** An id in the making: its dashes and its version stand, the rest is written anew for each. */
const text = Buffer.from("00000000-0000-7000-8000-000000000000", "latin1");
/** Where the digits go that are all random, and where the one does whose upper bits are the variant's. */
const randomPlaces = [15, 16, 17, 20, 21, 22, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35] as const;
const variantPlace = 19;
const digits = Buffer.from("0123456789abcdef", "latin1");

/** Random bytes in stock, for 128 ids at a time. */
const bytesPerId = randomPlaces.length / 2 + 1;
const stock = Buffer.alloc(128 * bytesPerId);
let usedBytes = stock.length;
/** Whose milliseconds are in {@link text}: a busy server makes dozens of ids in each. */
let writtenMs = Number.NaN;

/**
 * Makes a UUIDv7 (RFC 9562 §5.7): 48 bits of milliseconds, then 74 random
 * bits. Ids made later sort later, which keeps inserts at one end of an index.
 *
 * Every request makes several: written digit by digit, an id costs a quarter
 * of one that is put together from `randomUUID()`, and leaves nothing behind.
 */
export function newId(now: Date): string {
  writeTime(now.getTime());
  if (usedBytes === stock.length) {
    randomFillSync(stock);
    usedBytes = 0;
  }
  for (let at = 0; at < randomPlaces.length; at += 2) {
    const byte = nextByte();
    text[randomPlaces[at] ?? 0] = toDigit(byte >> 4);
    text[randomPlaces[at + 1] ?? 0] = toDigit(byte);
  }
  text[variantPlace] = toDigit(8 | (nextByte() & 3));
  return text.toString("latin1");
}

/** When an id of {@link newId} was made, in milliseconds since the epoch; of other texts, no number. */
export function toIdTimeMs(id: string): number {
  return isUuid(id) ? Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16) : Number.NaN;
}

function writeTime(ms: number): void {
  if (ms === writtenMs) return;
  const time = ms.toString(16).padStart(12, "0");
  text.write(time.slice(0, 8), 0, "latin1");
  text.write(time.slice(8), 9, "latin1");
  writtenMs = ms;
}

function nextByte(): number {
  return stock[usedBytes++] ?? 0;
}

/** Of the lower four bits. */
function toDigit(bits: number): number {
  return digits[bits & 15] ?? 0;
}
