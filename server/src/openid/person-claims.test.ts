import { describe, expect, it } from "vitest";
import { addPersonClaims, readPersonClaims } from "./person-claims.ts";

const email = "ann@example.org";

describe("claims of a person", () => {
  it.each<[object, object]>([
    [
      { sub: "a", email: null, email_verified: null, name: null },
      { sub: "a", name: null },
    ],
    [
      { email, email_verified: "true" },
      { email, email_verified: true },
    ],
    [
      { email, email_verified: "false" },
      { email, email_verified: false },
    ],
    [
      { email, email_verified: "TRUE" },
      { email, email_verified: "TRUE" },
    ],
    [
      { email, email_verified: false },
      { email, email_verified: false },
    ],
    [
      { email, email_verified: 1 },
      { email, email_verified: 1 },
    ],
    [{ email: "" }, { email: "" }],
  ])("%j are read as %j", (claims, expected) => {
    expect(readPersonClaims({ ...claims })).toEqual(expected);
  });
});

describe("what another answer adds", () => {
  it.each<[string, object, object, object]>([
    ["what was not told", { sub: "a" }, { sub: "b", name: "Ann" }, { sub: "a", name: "Ann" }],
    [
      "an address with its word",
      { sub: "a" },
      { email, email_verified: true },
      { sub: "a", email, email_verified: true },
    ],
    ["an address, to which a word of none does not belong", { email_verified: true }, { email }, { email }],
    [
      "the word for the same address",
      { email },
      { email, email_verified: true },
      { email, email_verified: true },
    ],
    ["no word for another", { email }, { email: "eve@example.org", email_verified: true }, { email }],
    ["no word for none", { email }, { email_verified: true }, { email }],
    [
      "no other word",
      { email, email_verified: false },
      { email, email_verified: true },
      { email, email_verified: false },
    ],
  ])("%s", (_, told, more, expected) => {
    expect(addPersonClaims({ ...told }, { ...more })).toEqual(expected);
  });
});
