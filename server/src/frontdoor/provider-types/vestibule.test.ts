import { expect, test } from "vitest";
import { DomainError } from "../../lib/errors.ts";
import type { OwnPrincipal } from "./context.ts";
import type { ProviderData } from "./provider-type.ts";
import { createTestContext, runTest, toOutline } from "./test-support.ts";
import { createVestibuleType } from "./vestibule.ts";

const [home, other] = ["0199c9a0-0000-7000-8000-000000000001", "0199c9a0-0000-7000-8000-00000000000a"];

const principal: OwnPrincipal = {
  type: "user",
  id: "u1",
  email: "a@example.com",
  emailVerified: true,
  memberships: [{ orgId: home, orgName: "acme", role: "viewer" }],
  dependsOn: ["u1", home],
};

function setUp(data: ProviderData = {}, memberships = principal.memberships) {
  const context = createTestContext();
  context.principals.set("opaque", { ...principal, memberships });
  context.principals.set("a.b.c", { ...principal, memberships });
  context.principals.set("gone", new DomainError("USER_NOT_FOUND"));
  context.principals.set("disabled", new DomainError("PRINCIPAL_DISABLED"));
  context.principals.set("down", new DomainError("UNAVAILABLE"));
  const type = createVestibuleType(context);
  const provider = { id: "p1", orgId: home, data };
  const decideOn = (token: string) => type.authenticate(provider, { kind: "opaque_token", token });
  return { context, type, provider, decideOn };
}

test("takes this service's own tokens, secrets and sessions, and no API key", async () => {
  const { decideOn, provider, type } = setUp();
  expect(type.accepts({})).toEqual({ issuers: ["https://auth.example.com"], own: true });
  expect(await decideOn("opaque")).toEqual({
    allowed: true,
    identity: {
      subject: "u1",
      email: "a@example.com",
      emailVerified: true,
      organizations: [home],
      groups: ["acme", "acme:viewer"],
      claims: { sub: "u1", sub_type: "app/user", email: "a@example.com", email_verified: true },
      dependsOn: ["u1", home, home],
    },
  });
  expect(await type.authenticate(provider, { kind: "session", cookie: "opaque" })).toMatchObject({
    allowed: true,
  });
  expect(await type.authenticate(provider, { kind: "api_key", key: "opaque" })).toMatchObject({
    reason: "wrong_kind",
  });
});

test("lets people come in by a session of theirs, by the same rules", async () => {
  const { provider, type } = setUp();
  const judge = (id: string) => (type.login?.kind === "own" ? type.login.judge(provider, id) : undefined);
  expect(await judge("opaque")).toMatchObject({ allowed: true, identity: { subject: "u1" } });
  expect(await judge("unknown")).toMatchObject({ allowed: false, reason: "unknown_credential" });
  expect(await judge("disabled")).toMatchObject({ allowed: false, reason: "not_permitted" });
  expect(await judge("down")).toMatchObject({ allowed: false, reason: "unavailable" });
});

test.each([
  ["unknown", "unknown_credential"],
  ["gone", "not_permitted"],
  ["disabled", "not_permitted"],
  ["down", "unavailable"],
])("a credential that is %s: %s", async (token, reason) => {
  expect(await setUp().decideOn(token)).toMatchObject({ allowed: false, reason });
});

test("tells of the organizations by which somebody comes in, and of no other", async () => {
  const memberships: OwnPrincipal["memberships"] = [
    { orgId: home, orgName: "acme", role: "manager" },
    { orgId: other, orgName: "acme", role: "owner" },
  ];
  const admitted = (data: ProviderData) => setUp(data, memberships).decideOn("opaque");
  expect(await admitted({})).toMatchObject({ identity: { organizations: [home] } });
  expect(await admitted({ allowedOrgIds: [home, other], allowedRoles: ["owner"] })).toMatchObject({
    identity: { organizations: [other], dependsOn: expect.arrayContaining([home, other]) },
  });
});

test.each<[string, ProviderData, OwnPrincipal["memberships"], boolean]>([
  ["a member of the frontdoor's organization", {}, [{ orgId: home, orgName: "acme", role: "viewer" }], true],
  ["a member of another", {}, [{ orgId: other, orgName: "acme", role: "owner" }], false],
  ["a member of none", {}, [], false],
  [
    "a member of a named one",
    { allowedOrgIds: [other] },
    [{ orgId: other, orgName: "acme", role: "viewer" }],
    true,
  ],
  [
    "an id in capitals",
    { allowedOrgIds: [other.toUpperCase()] },
    [{ orgId: other, orgName: "acme", role: "viewer" }],
    true,
  ],
  [
    "a member of the frontdoor's, not named",
    { allowedOrgIds: [other] },
    [{ orgId: home, orgName: "acme", role: "owner" }],
    false,
  ],
  ["a named role", { allowedRoles: ["manager"] }, [{ orgId: home, orgName: "acme", role: "manager" }], true],
  [
    "a stronger role that is not named",
    { allowedRoles: ["manager"] },
    [{ orgId: home, orgName: "acme", role: "owner" }],
    false,
  ],
  [
    "the role in one organization, the membership in another",
    { allowedRoles: ["owner"], allowedOrgIds: [home] },
    [
      { orgId: home, orgName: "acme", role: "viewer" },
      { orgId: other, orgName: "acme", role: "owner" },
    ],
    false,
  ],
])("%s: %j", async (_, data, memberships, allowed) => {
  const decision = await setUp(data, memberships).decideOn("opaque");
  expect(decision.allowed || decision.reason).toBe(allowed || "not_permitted");
});

test("its dry run tells who may come in and judges a sample of either kind", async () => {
  const { provider, type } = setUp({ allowedRoles: ["viewer"] });
  const checks = await runTest(type, provider, { token: "opaque" });
  expect(toOutline(checks)).toBe("admission sample");
  expect(checks.admission?.detail).toBe("lets in viewer of the frontdoor's organization");
  expect((await runTest(type, provider, { token: "a.b.c" })).sample?.ok).toBe(true);
  expect((await runTest(type, provider, { token: "unknown" })).sample?.detail).toMatch(/unknown_credential/);
  expect(toOutline(await runTest(type, provider, { apiKey: "x" }))).toBe("admission !sample_kind");
});

test.each([
  ["a member of the organization", "s", home, "allowed"],
  ["a member of another", "s", other, "not_permitted"],
  ["somebody who is disabled", "disabled", home, "not_permitted"],
  ["a session that is over", "unknown", home, "unknown_credential"],
  ["a session that cannot be read", "down", home, "unavailable"],
])("judges people by their session: %s", async (_, sessionId, orgId, outcome) => {
  const { context, type, provider } = setUp();
  context.principals.set("s", { ...principal, dependsOn: ["u1", "s", home] });
  if (type.login?.kind !== "own") throw new Error("no login of our own");
  const decision = await type.login.judge({ ...provider, orgId }, sessionId);
  expect(decision.allowed ? "allowed" : decision.reason).toBe(outcome);
  if (decision.allowed) expect(decision.identity.dependsOn).toContain("s");
});
