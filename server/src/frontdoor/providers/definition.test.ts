import { expect, test } from "vitest";
import { DomainError } from "../../lib/errors.ts";
import { toName } from "./definition.ts";

test.each([
  "a",
  "oidc-okta",
  "Okta (EU) #1/2",
  "a  b",
  "ключ",
  "鍵\u3000二",
  "🔑",
  "%_\\'\"",
  "x".repeat(100),
  "é".repeat(100),
])("%j is a name as it is", (text) => expect(toName(text)).toBe(text));

test.each([
  ["Cafe\u0301", "Café"],
  ["\u212b", "Å"],
  ["\u2126", "Ω"],
  ["e\u0301".repeat(100), "é".repeat(100)],
])("%j is the name %j", (text, name) => expect(toName(text)).toBe(name));

test.each([
  ["Okta", "okta"],
  ["okta", "о\u043ata"],
  ["ﬁ", "fi"],
  ["①", "1"],
])("%j and %j are two names", (one, other) => expect(toName(one)).not.toBe(toName(other)));

test.each([
  ["nothing", "", "must not be empty"],
  ["101 characters", "x".repeat(101), "must have at most 100 characters"],
  ["101 characters of two code units", "🔑".repeat(101), "must have at most 100 characters"],
  ["a space before", " a", "must have no space at either end"],
  ["a space behind", "a ", "must have no space at either end"],
  ["a space that does not break behind", "a\u00a0", "must have no space at either end"],
  ["spaces alone", "\u3000", "must have no space at either end"],
  ["a line break", "a\nb", "invisible"],
  ["NUL", "a\0b", "invisible"],
  ["DEL", "a\x7f", "invisible"],
  ["C1", "a\x85b", "invisible"],
  ["a line separator", "a\u2028b", "invisible"],
  ["a paragraph separator", "a\u2029b", "invisible"],
  ["a soft hyphen", "a\u00adb", "invisible"],
  ["a zero-width space", "a\u200bb", "invisible"],
  ["a zero-width joiner", "a\u200db", "invisible"],
  ["another direction", "a\u202eb", "invisible"],
  ["a byte-order mark", "a\ufeffb", "invisible"],
  ["a variation selector", "a\ufe0f", "invisible"],
  ["a filler", "\u3164", "invisible"],
  ["a tag", "a\u{e0061}", "invisible"],
  ["private use", "a\ue000", "invisible"],
  ["half a character", "a\ud83d", "invisible"],
  ["what is no character", "a\uffff", "invisible"],
])("%s is refused", (_, text, description) => {
  try {
    expect(toName(text)).toBeUndefined();
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    expect(error.violations).toEqual([{ field: "name", description: expect.stringContaining(description) }]);
  }
});
