import { describe, expect, it } from "vitest";
import { DomainError } from "../../lib/errors.ts";
import { defaultPolicy } from "./frontend.ts";
import { isPolicyPath, toPolicy } from "./policy.ts";

function fieldsOf(call: () => unknown): string[] {
  try {
    call();
  } catch (error) {
    if (error instanceof DomainError) return error.violations.map(({ field }) => field);
    throw error;
  }
  return [];
}

describe("isPolicyPath", () => {
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
  ])("takes %s", (path) => expect(isPolicyPath(path)).toBe(true));

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
    "/a%23b",
    "/a%00",
    "/a%7f",
    "/a%",
    "/a%zz",
    "/a\n",
    "/%C0%AE/x",
    "/caf%E9",
  ])("refuses %j", (path) => expect(isPolicyPath(path)).toBe(false));
});

describe("toPolicy", () => {
  it("keeps patterns in lower case", () => {
    const policy = {
      ...defaultPolicy,
      emailPatterns: ["*@Example.COM", "ada@*.Bücher.example"],
      requiredClaims: { groups: ["a", 1], ok: true },
    };
    expect(toPolicy(policy)).toEqual({
      ...policy,
      emailPatterns: ["*@example.com", "ada@*.xn--bcher-kva.example"],
    });
  });

  it("tells everything that is wrong at once", () => {
    const policy = {
      ...defaultPolicy,
      publicPaths: ["/ok", "nope"],
      protectedPaths: ["//", "/ok"],
      emailPatterns: ["example.com", "a@b@c", "a b@c"],
      requiredClaims: { good: "x", bad: null, deep: { a: 1 }, list: [["x"]] },
    };
    expect(fieldsOf(() => toPolicy(policy))).toEqual([
      "policy.public_paths[1]",
      "policy.protected_paths[0]",
      "policy.protected_paths",
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
    expect(fieldsOf(() => toPolicy({ ...defaultPolicy, requiredClaims: many }))).toEqual([
      "policy.required_claims",
    ]);
    expect(
      fieldsOf(() => toPolicy({ ...defaultPolicy, requiredClaims: { a: "x".repeat(513) } })),
    ).toHaveLength(1);
    expect(fieldsOf(() => toPolicy({ ...defaultPolicy, requiredClaims: { "": "x" } }))).toHaveLength(1);
    // A list without values would ask for nothing, which nobody means by a required claim.
    expect(fieldsOf(() => toPolicy({ ...defaultPolicy, requiredClaims: { a: [] } }))).toEqual([
      "policy.required_claims.a",
    ]);
    expect(
      fieldsOf(() => toPolicy({ ...defaultPolicy, requiredClaims: { a: Array(65).fill("x") } })),
    ).toHaveLength(1);
  });
});
