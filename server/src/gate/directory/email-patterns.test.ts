import { expect, test } from "vitest";
import { createEmailRule } from "./email-patterns.ts";

test.each([
  ["alice@example.com", "alice@example.com", true],
  ["alice@example.com", "ALICE@Example.com", true],
  ["alice@example.com", "alicia@example.com", false],
  ["*@example.com", "anyone@example.com", true],
  ["*@example.com", "anyone@sub.example.com", false],
  ["*@example.com", "anyone@example.com.evil.example", false],
  ["*@*.example.com", "a@sub.example.com", true],
  ["*@*.example.com", "a@example.com", false],
  ["a*z@example.com", "az@example.com", true],
  ["a*z@example.com", "a@example.com", false],
  ["ab*ba@example.com", "aba@example.com", false],
  ["a*b*c@example.com", "a-b-b-c@example.com", true],
  ["a*b*c@example.com", "acb@example.com", false],
  ["*@*", "a@b", true],
  // U+212A is a K that becomes ASCII in lower case; somebody else's mailbox.
  ["kim@example.com", "\u212aim@example.com", false],
  ["*@kim.example", "a@\u212aim.example", false],
  ["j\u00f6rg@example.com", "J\u00d6RG@example.com", true],
  ["*@xn--bcher-kva.example", "ada@B\u00dccher.example", true],
  ["*@xn--bcher-kva.example", "ada@xn--bcher-kva.example", true],
])("%s and %s: %s", (pattern, email, expected) => {
  expect(createEmailRule([pattern])(email)).toBe(expected);
});

test.each([
  "a@evil.example@company.example",
  '"a@b"@company.example',
  "a.company.example",
  "@company.example",
  "a@",
  "",
])("an address without exactly one @ fits nothing: %s", (email) => {
  expect(createEmailRule(["*@company.example", "*@*"])(email)).toBe(false);
});

test("many asterisks take no longer than few", () => {
  const fits = createEmailRule([`${"*a".repeat(150)}@example.com`]);
  expect(fits(`${"a".repeat(100_000)}b@example.com`)).toBe(false);
});
