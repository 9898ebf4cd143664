import { expect, it } from "vitest";
import { DomainError } from "../../lib/errors.ts";
import type { AccessTokenClaims } from "../../principals/claims.ts";
import type { Principal, UserPrincipal } from "../../principals/principal.ts";
import { createTestJudge } from "../../principals/test-support.ts";
import { createOwnPrincipals } from "./own-principals.ts";

const ends = new Date("2026-11-22T12:00:00Z");
const machine: Principal = {
  type: "serviceuser",
  id: "m",
  orgId: "o",
  role: "viewer",
  superuser: false,
  credentialId: "c",
  credentialExpiresAt: ends,
  authVia: "opaque_token",
  credentialKind: "opaque_token",
};
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

function create(emailProven = true) {
  const proven = { ...person, emailProven };
  return createOwnPrincipals({
    issuer: "https://id.example.com",
    judge: createTestJudge({
      basic: async () => machine,
      opaqueToken: async () => machine,
      accessToken: async () => ({ ...proven, tokenId: "t" }),
      session: async () => proven,
      claims: { exp: 60 } as AccessTokenClaims,
    }),
    judgeSession: async (sessionId) => ({ ...proven, sessionId }),
    findMemberships: async () => [{ orgId: "o", role: "owner" }],
    findOrganizationNames: async () => new Map([["o", "acme"]]),
  });
}

it("knows a machine by its organization, until its credential ends", async () => {
  const expected = {
    type: "serviceuser",
    id: "m",
    emailVerified: false,
    memberships: [{ orgId: "o", orgName: "acme", role: "viewer" }],
    dependsOn: ["m", "c", "o"],
  };
  for (const credential of [
    { kind: "basic", id: "i", secret: "s" },
    { kind: "opaque_token", token: "t" },
  ] as const) {
    expect(await create().identify(credential)).toEqual({ ...expected, expiresAt: ends });
  }
});

it("knows a person by address and memberships, until the token ends", async () => {
  const own = create();
  expect(await own.identify({ kind: "access_token", token: "t" })).toEqual({
    type: "user",
    id: "p",
    email: "p@example.org",
    emailVerified: true,
    memberships: [{ orgId: "o", orgName: "acme", role: "owner" }],
    dependsOn: ["p", "t", "s", "o"],
    expiresAt: new Date(60_000),
  });
  expect(await create(false).identify({ kind: "session", cookie: "c" })).toMatchObject({
    emailVerified: false,
  });
});

it("knows the person of a session, which its judgement rests on", async () => {
  expect(await create().identifySession("of theirs")).toMatchObject({
    type: "user",
    id: "p",
    memberships: [{ orgId: "o", orgName: "acme", role: "owner" }],
    dependsOn: ["p", "of theirs", "o"],
  });
});

it("refuses what cannot be read", async () => {
  await expect(create().identify({ kind: "malformed", detail: "no colon" })).rejects.toThrow(DomainError);
});
