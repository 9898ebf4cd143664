import { expect, it } from "vitest";
import { toAsciiDomain } from "./ascii-domain.ts";

it.each([
  ["bücher.example", "xn--bcher-kva.example"],
  ["BÜCHER.Example", "xn--bcher-kva.example"],
  ["bu\u0308cher.example", "xn--bcher-kva.example"],
  ["xn--bcher-kva.example", "xn--bcher-kva.example"],
  ["faß.de", "xn--fa-hia.de"],
  ["mail.例え.jp", "mail.xn--r8jz45g.jp"],
  ["пример.рф", "xn--e1afmkfd.xn--p1ai"],
  ["*.bücher.example", "*.xn--bcher-kva.example"],
  ["Example.ORG", "example.org"],
  ["not a domain", "not a domain"],
])("%s is %s", (domain, ascii) => {
  expect(toAsciiDomain(domain)).toBe(ascii);
});

it.each([
  // In disguise: these come to ASCII.
  "\u212Aelvin.example",
  "ｅｘａｍｐｌｅ.org",
  "bücher/evil.example",
  "bücher:25.example",
  "eve@bücher.example",
  "bü cher.example",
  "bücher%2e.example",
  "bücher。example",
  "*bücher.example",
  "b\u00adücher.example",
])("%s is none", (domain) => {
  expect(toAsciiDomain(domain)).toBeUndefined();
});
