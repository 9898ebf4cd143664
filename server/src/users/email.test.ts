import { expect, it } from "vitest";
import { requireEmail, toEmail, toEmailDomain } from "./email.ts";

it.each([
  ["ada@example.org", "ada@example.org"],
  ["  Ada.Lovelace+x@Example.ORG ", "ada.lovelace+x@example.org"],
  ["root@localhost", "root@localhost"],
  ["a@xn--bcher-kva.example", "a@xn--bcher-kva.example"],
  ["a@bücher.example", "a@xn--bcher-kva.example"],
  ["A@BÜCHER.Example", "a@xn--bcher-kva.example"],
  ["a@bu\u0308cher.example", "a@xn--bcher-kva.example"],
  [`${"a".repeat(64)}@example.org`, `${"a".repeat(64)}@example.org`],
])("keeps %s", (text, expected) => {
  expect(toEmail(text)).toBe(expected);
});

it.each([
  "",
  "ada",
  "@example.org",
  "ada@",
  "ada@@example.org",
  "ada@example..org",
  "ada@-example.org",
  ".ada@example.org",
  "ada lovelace@example.org",
  "ada@example.org\r\nBcc: eve@example.org",
  "ada@example.org,eve@example.org",
  "<ada@example.org>",
  '"ada eve"@example.org',
  "ada@[127.0.0.1]",
  "ada@127.0.0.1",
  "аda@example.org",
  "büch@bücher.example",
  "ada@bücher.example/evil",
  "ada@bücher.example\r\nBcc: eve@example.org",
  "ada@bücher..example",
  "ada@bücher.123",
  // The Kelvin sign, whose lower case is an ASCII letter.
  "\u212Aate@example.org",
  "ada@\u212Aelvin.example",
  "ada@example.org\u0000",
  "ada\u00ad@example.org",
  "ada@example\u3002org",
  `${"a".repeat(65)}@example.org`,
  `a@${"b".repeat(63)}.${"c".repeat(63)}.${"d".repeat(63)}.${"e".repeat(63)}.org`,
])("refuses %j", (text) => {
  expect(toEmail(text)).toBeUndefined();
});

it("tells the domain", () => {
  expect(toEmailDomain("ada@example.org")).toBe("example.org");
});

it.each([
  ["ädä@example.org", "Invalid email: before the @ only ASCII is taken, without SMTPUTF8 (RFC 6531)"],
  ["ädä@bücher.example", "Invalid email: before the @ only ASCII is taken, without SMTPUTF8 (RFC 6531)"],
  ["ädä@", "Invalid email"],
  ["ada@bücher..example", "Invalid email"],
  ["", "Invalid email"],
])("says of %j why it is not taken: %s", (text, message) => {
  expect(() => requireEmail(text)).toThrow(expect.objectContaining({ reason: "INVALID_EMAIL", message }));
});
