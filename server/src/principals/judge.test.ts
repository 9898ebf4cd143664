import { describe, expect, it } from "vitest";
import { DomainError } from "../lib/errors.ts";
import type { AccessTokenClaims } from "./claims.ts";
import { createCredentialJudge, findExpiry, isRefusal, judgeAll, type KindJudges } from "./judge.ts";
import type { CredentialKind, PresentedCredential } from "./presented.ts";
import type { ServiceUserPrincipal, UserPrincipal } from "./principal.ts";
import { createTestJudge } from "./test-support.ts";

const ends = new Date("2026-11-29T12:00:00Z");

function machine(id: string): ServiceUserPrincipal {
  return {
    type: "serviceuser",
    id,
    orgId: "o",
    role: "viewer",
    superuser: false,
    credentialId: "c",
    credentialExpiresAt: ends,
    authVia: "client_credentials",
    credentialKind: "client_secret",
  };
}

/** One of each kind that can be held. */
const held: { readonly [K in Exclude<CredentialKind, "malformed">]: PresentedCredential<K> } = {
  basic: { kind: "basic", id: "i", secret: "s" },
  access_token: { kind: "access_token", token: "a.b.c" },
  opaque_token: { kind: "opaque_token", token: "t" },
  personal_token: { kind: "personal_token", token: "vstu_t" },
  session: { kind: "session", cookie: "c" },
  assertion: { kind: "assertion", assertion: "a.b.c", use: "jwt_bearer", rules: { relaxed: false } },
};

describe("the judge of credentials", () => {
  const judges: KindJudges = {
    basic: async ({ kind }) => ({ principal: machine(kind) }),
    access_token: async ({ kind }) => ({ principal: machine(kind) }),
    opaque_token: async ({ kind }) => ({ principal: machine(kind) }),
    personal_token: async ({ kind }) => ({ principal: machine(kind) }),
    session: async ({ kind }) => ({ principal: machine(kind) }),
    assertion: async ({ kind }) => ({ principal: machine(kind) }),
  };

  it.each(Object.values(held))("asks the judge of its kind: $kind", async (presented) => {
    const { principal } = await createCredentialJudge(judges).judge(presented);
    expect(principal.id).toBe(presented.kind);
  });

  it("refuses what is malformed, asking nobody", async () => {
    const judged = createCredentialJudge(judges).judge({ kind: "malformed", detail: "no colon" });
    await expect(judged).rejects.toMatchObject({ reason: "NOT_AUTHENTICATED", detail: "no colon" });
  });

  it("does not compile without a judge for every kind", () => {
    const { session, ...others } = judges;
    // @ts-expect-error a kind that nobody judges
    createCredentialJudge(others);
    createCredentialJudge({ ...others, session });
  });
});

describe("all credentials of a request", () => {
  const judge = createTestJudge({
    opaqueToken: async (token) => {
      if (token === "bad") throw new DomainError("NOT_AUTHENTICATED");
      return machine(token);
    },
  });
  const judgeTokens = (...tokens: string[]) =>
    judgeAll(
      judge,
      tokens.map((token) => ({ kind: "opaque_token", token })),
    );

  it("prove one principal, or nobody", async () => {
    expect(await judgeTokens("m", "m")).toEqual(machine("m"));
    expect(await judgeTokens("m", "n")).toBeUndefined();
    expect(await judgeTokens()).toBeUndefined();
  });

  it.each([[["bad", "m"]], [["m", "bad"]], [["m", "m", "bad"]]])(
    "are refused with a bad one: %s",
    async (tokens) => {
      await expect(judgeTokens(...tokens)).rejects.toMatchObject({ reason: "NOT_AUTHENTICATED" });
    },
  );
});

describe("a proof", () => {
  const person: UserPrincipal = {
    type: "user",
    id: "p",
    email: "p@example.org",
    emailProven: true,
    sessionId: "s",
    superuser: false,
    authVia: "session",
    credentialKind: "session",
  };

  it("ends with the access token, else with the credential or session", () => {
    const claims = { exp: 60 } as AccessTokenClaims;
    expect(findExpiry({ principal: machine("m"), claims })).toEqual(new Date(60_000));
    expect(findExpiry({ principal: machine("m") })).toEqual(ends);
    expect(findExpiry({ principal: { ...person, sessionExpiresAt: ends } })).toEqual(ends);
    expect(findExpiry({ principal: person })).toBeUndefined();
  });
});

it.each([
  ["NOT_AUTHENTICATED", true],
  ["PRINCIPAL_DISABLED", true],
  ["ORGANIZATION_DISABLED", true],
  ["USER_NOT_FOUND", true],
  ["UNAVAILABLE", false],
  ["TOO_MANY_FAILURES", false],
  ["INVALID_REQUEST", false],
] as const)("%s says something about a credential: %s", (reason, expected) => {
  expect(isRefusal(new DomainError(reason))).toBe(expected);
});
