import { describe, expect, test } from "vitest";
import { createCidrMatcher, parseCidr } from "../http/cidr.ts";
import { findNearest } from "../lib/suggest.ts";
import { ValueError } from "../lib/value-error.ts";
import { parseDurationSeconds } from "./duration.ts";
import {
  parseExactUrl,
  parseIssuerUrl,
  parseOrigin,
  parsePublicUrl,
  parseSmtpUrl,
  parseStringOrUri,
} from "./urls.ts";
import {
  parseDatabaseUrl,
  parseDomain,
  parseEmail,
  parseHeaderName,
  parseListen,
  parseMailSender,
} from "./values.ts";

/** A reader, what it makes of good texts, and the texts it refuses. */
interface Reading {
  readonly parse: (text: string) => unknown;
  readonly accepted: Readonly<Record<string, unknown>>;
  readonly refused: readonly string[];
}

const same = (...texts: string[]): Record<string, string> =>
  Object.fromEntries(texts.map((text) => [text, text]));

const readings: Record<string, Reading> = {
  durations: {
    parse: parseDurationSeconds,
    accepted: {
      "0s": 0,
      "60s": 60,
      "10m": 600,
      "720h": 2_592_000,
      "1h30m": 5400,
      "1h1m1s": 3661,
      "90m": 5400,
    },
    refused: ["", "10", "10 m", "1d", "-1s", "1.5h", "30m1h", "1h1h", "10ms", "m", "1H", "9999999h"],
  },
  networks: {
    parse: parseCidr,
    accepted: {
      "10.0.0.0/8": { address: "10.0.0.0", prefixBits: 8 },
      "127.0.0.1": { address: "127.0.0.1", prefixBits: 32 },
      "192.0.2.254/31": { address: "192.0.2.254", prefixBits: 31 },
      "2001:DB8::/32": { address: "2001:db8::", prefixBits: 32 },
      "::1": { address: "::1", prefixBits: 128 },
      "0.0.0.0/0": { address: "0.0.0.0", prefixBits: 0 },
    },
    refused: [
      "",
      "10",
      "10/8",
      "10.0.0.0/33",
      "10.0.0.0/",
      "10.0.0.0/08",
      "10.0.0.0/8/8",
      "10.0.0.1/8",
      "192.0.2.255/31",
      "010.0.0.0/8",
      "0x7f.0.0.1",
      "2001:db8::/129",
      "2001:db8::1/64",
      "fe80::1%eth0",
      "::ffff:10.0.0.0/104",
      "example.com",
    ],
  },
  "listening addresses": {
    parse: parseListen,
    accepted: {
      "127.0.0.1:7400": { host: "127.0.0.1", port: 7400 },
      "0.0.0.0:0": { host: "0.0.0.0", port: 0 },
      "[::1]:65535": { host: "::1", port: 65535 },
      "localhost:80": { host: "localhost", port: 80 },
    },
    refused: [
      "7400",
      ":7400",
      "127.0.0.1",
      "127.0.0.1:",
      "::1:7400",
      "[::zz]:1",
      "localhost:65536",
      "http://a:1",
      "a:-1",
    ],
  },
  "public URLs": {
    parse: parsePublicUrl,
    accepted: {
      "https://auth.example.com": "https://auth.example.com",
      "https://auth.example.com/": "https://auth.example.com",
      "HTTPS://Auth.Example.com:443": "https://auth.example.com",
      "http://localhost:7400": "http://localhost:7400",
      "http://[::1]:7400": "http://[::1]:7400",
    },
    refused: [
      "auth.example.com",
      "//auth.example.com",
      "ftp://auth.example.com",
      "https:auth.example.com",
      "https:///auth.example.com",
      "https://auth.example.com/base",
      "https://auth.example.com/.",
      "https://auth.example.com//",
      "https://auth.example.com?",
      "https://auth.example.com#",
      "https://me@auth.example.com",
      "https://@auth.example.com",
      "https://auth.example.com\\@evil.example",
      "https://*.example.com",
      "https://auth.example.com:99999",
      " https://auth.example.com",
    ],
  },
  origins: {
    parse: parseOrigin,
    accepted: same("https://app.example.com", "http://localhost:3000", "https://[::1]"),
    refused: [
      "*",
      "null",
      "https://app.example.com/",
      "https://App.example.com",
      "https://app.example.com:443",
      "https://*.example.com",
    ],
  },
  "exact URLs": {
    parse: parseExactUrl,
    accepted: same("https://app.example.com/cb", "http://localhost:3000/cb?x=1", "https://app.example.com"),
    refused: [
      "/cb",
      "//app.example.com/cb",
      "javascript:alert(1)",
      "https://app.example.com/*",
      "https://app.example.com/#",
      "https://u:p@app.example.com/cb",
    ],
  },
  issuers: {
    parse: parseIssuerUrl,
    accepted: same(
      "https://id.example.com",
      "https://id.example.com/realms/a/",
      "http://127.0.0.1:9000",
      "http://localhost:9000/x",
    ),
    refused: [
      "http://id.example.com",
      "https://id.example.com?x",
      "https://id.example.com/#",
      "id.example.com",
      "http://127.evil.example",
    ],
  },
  "issuers of our tokens": {
    parse: parseStringOrUri,
    accepted: same("frontier", "https://auth.example.com", "urn:example:auth", "a".repeat(255)),
    refused: ["", "two words", "1:2", "a".repeat(256)],
  },
  "SMTP URLs": {
    parse: parseSmtpUrl,
    accepted: same("smtp://localhost:1025", "smtps://user:p%40ss@mail.example.com"),
    refused: ["localhost:1025", "http://mail.example.com", "smtp://", "smtp://a b"],
  },
  "database URLs": {
    parse: parseDatabaseUrl,
    accepted: {
      "sqlite:data/a.db": { dialect: "sqlite", path: "data/a.db" },
      "sqlite:/var/lib/a.db": { dialect: "sqlite", path: "/var/lib/a.db" },
      "sqlite:///var/lib/a.db": { dialect: "sqlite", path: "/var/lib/a.db" },
      "postgres://u:p@db/vestibule": { dialect: "postgres", url: "postgres://u:p@db/vestibule" },
      "postgresql://db/vestibule?sslmode=require": {
        dialect: "postgres",
        url: "postgresql://db/vestibule?sslmode=require",
      },
    },
    refused: [
      "sqlite:",
      "sqlite::memory:",
      "sqlite://a.db",
      "sqlite:a.db?mode=ro",
      "sqlite:data/",
      "mysql://db/x",
      "postgres:db",
      "/var/lib/a.db",
    ],
  },
  domains: {
    parse: parseDomain,
    accepted: {
      "example.com": "example.com",
      "Mail.Example.co.uk": "mail.example.co.uk",
      "Bücher.example": "xn--bcher-kva.example",
    },
    refused: [
      "com",
      "localhost",
      ".example.com",
      "example.com.",
      "*.example.com",
      "https://example.com",
      "a_b.com",
      "-a.com",
      "bücher.example/x",
      "\u212Aelvin.example",
    ],
  },
  "mail addresses": {
    parse: parseEmail,
    accepted: {
      "Ann@Example.com": "ann@example.com",
      "a+b@localhost": "a+b@localhost",
      "ada@Bücher.example": "ada@xn--bcher-kva.example",
    },
    refused: [
      "ann",
      "@example.com",
      "ann@",
      "a@b@example.com",
      "Ann <ann@example.com>",
      "änn@example.com",
      "ann@example.com\r\nBcc: x",
    ],
  },
  "senders of mail": {
    parse: parseMailSender,
    accepted: {
      "No-Reply@example.com": { name: undefined, address: "no-reply@example.com" },
      "Example, Inc. <id@example.com>": { name: "Example, Inc.", address: "id@example.com" },
      "Bücher<id@example.com>": { name: "Bücher", address: "id@example.com" },
    },
    refused: [
      "",
      "Example",
      "<id@example.com>",
      "Example <id>",
      "Example <id@example.com> x",
      'a "quoted" name <id@example.com>',
      "Example\r\nBcc: x <id@example.com>",
      "Example <a@example.com, b@example.com>",
      `${"x".repeat(101)} <id@example.com>`,
    ],
  },
  "header names": {
    parse: parseHeaderName,
    accepted: { "X-Forwarded-For": "x-forwarded-for" },
    refused: ["", "X Forwarded", "X-Forwarded-For:", "x\r\n"],
  },
};

describe.each(Object.entries(readings))("%s", (_, { parse, accepted, refused }) => {
  test.each(Object.entries(accepted))("%j is read", (text, value) => {
    expect(parse(text)).toEqual(value);
  });

  test.each(refused)("%j is refused", (text) => {
    expect(() => parse(text)).toThrow(ValueError);
  });
});

test.each([
  ["10.0.0.0/8", "10.255.255.255", true],
  ["10.0.0.0/8", "11.0.0.0", false],
  ["10.0.0.0/8", "::ffff:10.1.2.3", true],
  ["127.0.0.1", "127.0.0.1", true],
  ["127.0.0.1", "127.0.0.2", false],
  ["0.0.0.0/0", "::1", false],
  ["fe80::/10", "fe80::1%eth0", true],
  ["2001:db8::/32", "2001:db9::", false],
  ["0.0.0.0/0", "not an address", false],
  ["0.0.0.0/0", "", false],
])("of the network %s, %s is inside: %s", (network, address, isInside) => {
  expect(createCidrMatcher([parseCidr(network)])(address)).toBe(isInside);
});

test.each([
  ["publicUrl", "public_url"],
  ["public-url", "public_url"],
  ["lisen", "listen"],
  ["litsen", "listen"],
  ["database_uri", "database_url"],
  ["port", undefined],
])("for %s, %s is suggested", (given, suggested) => {
  expect(findNearest(given, ["listen", "public_url", "database_url"])).toBe(suggested);
});
