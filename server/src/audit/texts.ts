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
export function toDetails(details: Readonly<Record<string, string>> = {}): Record<string, string> {
  const entries = Object.entries(details).slice(0, detailsPerRecord);
  return Object.fromEntries(entries.map(([name, value]) => [toShortText(name), toLongText(value)]));
}

function toText(text: string, length: number): string {
  // What nearly all texts are needs no mending.
  if (text.length <= length && /^[ -~]*$/.test(text)) return text;
  return text
    .slice(0, length)
    .toWellFormed()
    .replace(/\p{Cc}/gu, " ");
}
