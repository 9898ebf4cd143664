/** Longest text of each kind that a record keeps, in characters; the rest is cut. */
const shortText = 200;
const longText = 512;
const detailsPerRecord = 32;

/**
 * A text fit for a record: control characters (NUL, which Postgres refuses,
 * among them) become spaces, lone surrogates are replaced, the end is cut.
 */
export function toShortText(text: string): string {
  return toText(text, shortText);
}

/** The same for texts that may be longer: user agents, details. */
export function toLongText(text: string): string {
  return toText(text, longText);
}

/** The same for names and values of an event's details. */
export function toDetails(details: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const entries = Object.entries(details);
  const isAsKept = entries.every(([name, value]) => isPlain(name, shortText) && isPlain(value, longText));
  if (isAsKept && entries.length <= detailsPerRecord) return details;
  const kept = entries.slice(0, detailsPerRecord);
  return Object.fromEntries(kept.map(([name, value]) => [toShortText(name), toLongText(value)]));
}

function toText(text: string, length: number): string {
  if (isPlain(text, length)) return text;
  return text
    .slice(0, length)
    .toWellFormed()
    .replace(/\p{Cc}/gu, " ");
}

/** Whether a text needs no mending, as nearly all need none. */
function isPlain(text: string, length: number): boolean {
  return text.length <= length && /^[ -~]*$/.test(text);
}
