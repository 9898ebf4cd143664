import { describe, expect, it } from "vitest";
import { hashSecret, isMistyped, isSecretOf, newSecret } from "./secrets.ts";

describe("secrets", () => {
  it("are unlike each other, prefixed, and free of dots", () => {
    const secrets = new Set(Array.from({ length: 1000 }, () => newSecret("vsts")));
    expect(secrets.size).toBe(1000);
    for (const secret of secrets) expect(secret).toMatch(/^vsts_[A-Za-z0-9_-]{48}$/);
  });

  it("know a mistyped one from a whole one", () => {
    const secret = newSecret("vstt");
    const swapped = `${secret.slice(0, 10)}${secret[10] === "a" ? "b" : "a"}${secret.slice(11)}`;
    expect(isMistyped("vstt", secret)).toBe(false);
    expect(isMistyped("vstt", swapped)).toBe(true);
    expect(isMistyped("vstt", secret.slice(0, -1))).toBe(true);
    expect(isMistyped("vstt", `${secret}A`)).toBe(true);
    expect(isMistyped("vstt", "an operator's own secret of any shape")).toBe(false);
  });

  it("match their own hash alone", () => {
    const secret = newSecret("vsts");
    expect(isSecretOf(secret, hashSecret(secret))).toBe(true);
    expect(isSecretOf(newSecret("vsts"), hashSecret(secret))).toBe(false);
    expect(isSecretOf("", undefined)).toBe(false);
    expect(isSecretOf("", hashSecret("x"))).toBe(false);
  });
});
