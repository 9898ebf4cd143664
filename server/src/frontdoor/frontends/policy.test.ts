import { describe, expect, it } from "vitest";
import { DomainError } from "../../lib/errors.ts";
import type { FrontendPolicy } from "./frontend.ts";
import { isPublicPath, toHostname, toPolicy } from "./policy.ts";

const empty: FrontendPolicy = { publicPaths: [], emailPatterns: [], requiredClaims: {} };

function fieldsOf(call: () => unknown): string[] {
  try {
    call();
  } catch (error) {
    if (error instanceof DomainError) return error.violations.map(({ field }) => field);
    throw error;
  }
  return [];
}

describe("toHostname", () => {
  it.each([
    "app.example.com",
    "localhost",
    "localhost:8080",
    "10.0.0.1",
    "a-b.c",
    "xn--bcher-kva.example",
    `${"a".repeat(63)}.example`,
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
    "*.example.com",
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
  ])("refuses %j", (text) => expect(fieldsOf(() => toHostname(text))).toEqual(["hostname"]));
});

describe("isPublicPath", () => {
  it.each([
    "/",
    "/*",
    "/health",
    "/public/*",
    "/a/b/",
    "/a-b_c~d/e.f",
    "/caf%C3%A9",
    "/@user:x",
    "/.well-known/x",
  ])("takes %s", (path) => expect(isPublicPath(path)).toBe(true));

  it.each([
    "",
    "health",
    "*",
    "/public*",
    "/*/x",
    "/a/../b",
    "/a/./b",
    "/..",
    "//",
    "/a//b",
    "/a//*",
    "/a\\b",
    "/a;b",
    "/a?b",
    "/a#b",
    "/a b",
    "/café",
    "/%2e%2e/a",
    "/a%2Fb",
    "/a%5cb",
    "/a%3bb",
    "/a%25b",
    "/a%00",
    "/a%7f",
    "/a%",
    "/a%zz",
    "/a\n",
  ])("refuses %j", (path) => expect(isPublicPath(path)).toBe(false));
});

describe("toPolicy", () => {
  it("keeps patterns in lower case", () => {
    const policy = {
      ...empty,
      emailPatterns: ["*@Example.COM"],
      requiredClaims: { groups: ["a", 1], ok: true },
    };
    expect(toPolicy(policy)).toEqual({ ...policy, emailPatterns: ["*@example.com"] });
  });

  it("tells everything that is wrong at once", () => {
    const policy = {
      publicPaths: ["/ok", "nope"],
      emailPatterns: ["example.com", "a@b@c", "a b@c"],
      requiredClaims: { good: "x", bad: null, deep: { a: 1 }, list: [["x"]] },
    };
    expect(fieldsOf(() => toPolicy(policy))).toEqual([
      "policy.public_paths[1]",
      "policy.email_patterns[0]",
      "policy.email_patterns[1]",
      "policy.email_patterns[2]",
      "policy.required_claims.bad",
      "policy.required_claims.deep",
      "policy.required_claims.list",
    ]);
  });

  it("bounds claims in number and length", () => {
    const many = Object.fromEntries(Array.from({ length: 33 }, (_, index) => [`c${index}`, 1]));
    expect(fieldsOf(() => toPolicy({ ...empty, requiredClaims: many }))).toEqual(["policy.required_claims"]);
    expect(fieldsOf(() => toPolicy({ ...empty, requiredClaims: { a: "x".repeat(513) } }))).toHaveLength(1);
    expect(fieldsOf(() => toPolicy({ ...empty, requiredClaims: { "": "x" } }))).toHaveLength(1);
    // A list without values would ask for nothing, which nobody means by a required claim.
    expect(fieldsOf(() => toPolicy({ ...empty, requiredClaims: { a: [] } }))).toEqual([
      "policy.required_claims.a",
    ]);
    expect(fieldsOf(() => toPolicy({ ...empty, requiredClaims: { a: Array(65).fill("x") } }))).toHaveLength(
      1,
    );
  });
});
