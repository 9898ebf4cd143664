/**
 * Texts as values of headers: visible ASCII and spaces inside stand as they
 * are, every other character as percent-encoded UTF-8, and `%` too, so that no
 * two texts have one value. What reads them decodes percents and nothing else.
 */

/** Stands as it is, whole: nothing to encode, and no space that a reader would trim. */
const plain = /^(?:[!-$&-~](?:[ -$&-~]*[!-$&-~])?)?$/;

/** What is encoded: all but visible ASCII and the space, `%` itself, the space at either end. */
const encoded = /[^ -~]|%|^ | $/gu;

/** In a list the comma stands between values. */
const encodedInList = /[^ -~]|[%,]|^ | $/gu;

/** A text as the value of a header. */
export function toHeaderValue(text: string): string {
  return plain.test(text) ? text : text.replace(encoded, encode);
}

/** Texts as the value of one header, with commas between; empty ones are left out. */
export function toHeaderList(texts: readonly string[]): string {
  const values = texts.filter((text) => text !== "");
  return values.map((text) => text.replace(encodedInList, encode)).join(",");
}

function encode(characters: string): string {
  return [...characters].map(encodeCharacter).join("");
}

/** Half of a surrogate pair, which has no UTF-8, as if it had: two texts must not become one. */
function encodeCharacter(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const isHalf = code >= 0xd800 && code <= 0xdfff;
  const bytes = isHalf
    ? [0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f)]
    : [...Buffer.from(character)];
  return bytes.map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("");
}
