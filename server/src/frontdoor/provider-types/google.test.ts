import { expect, test } from "vitest";
import { createGoogleType } from "./google.ts";
import type { ProviderData } from "./provider-type.ts";
import { createProviderTypes } from "./provider-types.ts";
import {
  callbackUrl,
  createTestContext,
  lendIssuer,
  logIn,
  makeKey,
  runTest,
  startSeconds,
  toOutline,
  toProviderLogin,
  toTokenAnswer,
} from "./test-support.ts";

const key = makeKey("k1", "RS256");

/** The type with a local issuer in Google's place. */
async function setUp(data: ProviderData = {}) {
  const issuer = await lendIssuer(key);
  const type = createGoogleType(createTestContext(), issuer.origin);
  const provider = { id: "p1", orgId: "o1", data: { clientId: "app", ...data } };
  const claims = {
    iss: issuer.origin,
    aud: "app",
    sub: "u1",
    exp: startSeconds + 600,
    email: "a@example.com",
  };
  const decideOn = (token: string) => type.authenticate(provider, { kind: "access_token", token });
  return { issuer, type, provider, claims, decideOn };
}

test("judges tokens of Google's two spellings", () => {
  const type = createProviderTypes(createTestContext()).get("GOOGLE");
  expect(type.accepts({ clientId: "a" })).toEqual({
    issuers: ["https://accounts.google.com", "accounts.google.com"],
    own: false,
  });
});

test("lets every account in where no domain is named, and names its Workspace as organization", async () => {
  const { claims, decideOn } = await setUp();
  expect(await decideOn(key.sign(claims))).toMatchObject({ allowed: true, identity: { organizations: [] } });
  expect(await decideOn(key.sign({ ...claims, hd: "Example.com" }))).toMatchObject({
    allowed: true,
    identity: { organizations: ["example.com"] },
  });
});

test.each([
  ["of a named domain", { hd: "example.com" }, "allowed"],
  ["of a named domain, in capitals", { hd: "EXAMPLE.com" }, "allowed"],
  ["of another domain", { hd: "example.org" }, "not_permitted"],
  ["of a domain below", { hd: "a.example.com" }, "not_permitted"],
  ["with an address there but outside the Workspace", {}, "not_permitted"],
  ["with a list as domain", { hd: ["example.com"] }, "not_permitted"],
])("with hosted domains, an account %s", async (_, told, outcome) => {
  const { claims, decideOn } = await setUp({ hostedDomains: ["Example.COM"] });
  const decision = await decideOn(key.sign({ ...claims, ...told }));
  expect(decision.allowed ? "allowed" : decision.reason).toBe(outcome);
});

test.each([
  [{ aud: "other" }, "wrong_audience"],
  [{ azp: "other" }, "wrong_audience"],
  [{ iss: "https://evil.test" }, "wrong_issuer"],
])("refuses %j", async (change, reason) => {
  const { claims, decideOn } = await setUp();
  expect(await decideOn(key.sign({ ...claims, ...change }))).toMatchObject({ reason });
});

test("takes RS256 alone", async () => {
  const { claims, decideOn } = await setUp();
  expect(await decideOn(makeKey("k1").sign(claims))).toMatchObject({ reason: "wrong_algorithm" });
});

test("its dry run goes the way of any issuer", async () => {
  const { claims, provider, type } = await setUp({ clientSecret: "canary" });
  const passed = await runTest(type, provider, { token: key.sign(claims), apiKey: "canary" });
  expect(toOutline(passed)).toBe(
    "name_resolution discovery issuer jwks endpoints pkce redirect_uri client !sample_kind sample",
  );
  expect(JSON.stringify(passed)).not.toContain("canary");
});

test.each([
  ["a domain", ["Example.com"], "example.com"],
  ["several domains", ["example.com", "example.org"], "*"],
  ["no domain", undefined, null],
])("proposes accounts of %s, and asks for what renews", async (_, hostedDomains, hd) => {
  const { provider, type } = await setUp({ ...(hostedDomains && { hostedDomains }), clientSecret: "hush" });
  const request = { callbackUrl, state: "s", prompt: "again" } as const;
  const { endpoint } = await toProviderLogin(type).begin(provider, request);
  const sent = new URL(endpoint).searchParams;
  expect([sent.get("hd"), sent.get("access_type"), sent.get("prompt"), sent.get("scope")]).toEqual([
    hd,
    "offline",
    "select_account",
    "openid email profile",
  ]);
});

test.each([
  ["of a named domain", { hd: "Example.com" }, "allowed"],
  ["of another domain, whatever was proposed", { hd: "example.org" }, "not_permitted"],
  ["outside any Workspace", {}, "not_permitted"],
])("lets people in with hosted domains by an account %s", async (_, told, outcome) => {
  const { claims, issuer, provider, type } = await setUp({
    hostedDomains: ["example.com"],
    clientSecret: "hush",
  });
  const login = toProviderLogin(type);
  const found = await logIn({ issuer, login, provider }, (nonce) =>
    toTokenAnswer(key.sign({ ...claims, ...told, iat: startSeconds, nonce })),
  );
  expect(found.allowed ? "allowed" : found.reason).toBe(outcome);
  if (!found.allowed) return;
  expect(found.identity.organizations).toEqual(["example.com"]);
  const elsewhere = { ...provider, data: { ...provider.data, hostedDomains: ["example.org"] } };
  expect(login.admit(elsewhere, found.identity)).toMatchObject({ allowed: false, reason: "not_permitted" });
});

test("lets people in with a client secret only", async () => {
  const { type } = await setUp();
  const { isPossible } = toProviderLogin(type);
  expect([isPossible({ clientId: "a" }), isPossible({ clientId: "a", clientSecret: "********" })]).toEqual([
    false,
    true,
  ]);
});
