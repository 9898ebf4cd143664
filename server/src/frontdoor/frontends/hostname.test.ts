import { describe, expect, it } from "vitest";
import { isLoopback, toHostname, toWildcard } from "./hostname.ts";

describe("toHostname", () => {
  it.each([
    "app.example.com",
    "localhost",
    "localhost:8080",
    "10.0.0.1",
    "a-b.c",
    "xn--bcher-kva.example",
    `${"a".repeat(63)}.example`,
    "*.apps.example.com",
    "*.example.com",
    "*.apps.example.com:8443",
    "*.apps.localhost",
    `*.${"a.".repeat(124)}abc`,
  ])("takes %s", (text) => expect(toHostname(text)).toBe(text));

  it("makes lower case of it", () => expect(toHostname("APP.Example.COM")).toBe("app.example.com"));

  it.each([
    "",
    ".",
    "a..b",
    "-a.example",
    "a-.example",
    "https://app.example.com",
    "app.example.com/",
    "app.example.com.",
    "user@app.example.com",
    // A single label below which anybody may have a name, and wildcards that are not the one leftmost label.
    "*",
    "*.",
    "*.com",
    "*.localhost",
    "*.localhost:8080",
    "*example.com",
    "a*.example.com",
    "a.*.example.com",
    "*.*.example.com",
    "*.example.com.",
    "*.0.0.1",
    "*.127.0.0.1",
    "*.example.com:443",
    `*.${"a.".repeat(124)}abcd`,
    "bücher.example",
    "app.example.com:0",
    "app.example.com:65536",
    "app.example.com:80:80",
    "a b",
    `${"a".repeat(64)}.example`,
    `${"a.".repeat(127)}a`,
    // What browsers show otherwise, so that no request would ever name it.
    "app.example.com:443",
    "app.example.com:80",
    "10.1",
    "0x7f000001",
    "010.0.0.1",
    "app.0x1",
    "256.0.0.1",
    "xn--abc-.example",
    "app.example.com\n",
  ])("refuses %j", (text) => expect(() => toHostname(text)).toThrow(/^hostname: must be a host name/));
});

describe("toWildcard", () => {
  it.each([
    ["b.apps.example.com", "*.apps.example.com"],
    ["b.apps.example.com:8443", "*.apps.example.com:8443"],
    ["example.com", "*.com"],
    ["localhost", "localhost"],
    [".example.com", ".example.com"],
    ["", ""],
  ])("of %j is %j", (host, wildcard) => expect(toWildcard(host)).toBe(wildcard));
});

describe("isLoopback", () => {
  it.each(["localhost", "localhost:8080", "a.b.localhost", "*.apps.localhost", "127.0.0.1", "127.9.8.7:80"])(
    "is %s",
    (hostname) => expect(isLoopback(hostname)).toBe(true),
  );

  it.each([
    "localhosts",
    "notlocalhost",
    "localhost.example",
    "127.0.0.1.example",
    "128.0.0.1",
    "app.example",
  ])("is not %s", (hostname) => expect(isLoopback(hostname)).toBe(false));
});
