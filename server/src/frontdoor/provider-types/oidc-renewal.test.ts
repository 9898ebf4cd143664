import { beforeEach, describe, expect, it } from "vitest";
import { createOidcType } from "./oidc.ts";
import type { LoggedIn, ProviderData, ProviderLogin } from "./provider-type.ts";
import {
  createTestContext,
  expectLoggedIn,
  lendIssuer,
  logIn,
  makeKey,
  start,
  startSeconds,
  type TestAnswer,
  type TestContext,
  type TestIssuer,
  toProviderLogin,
  toTokenAnswer,
} from "./test-support.ts";

const key = makeKey("k");

let context: TestContext;
let issuer: TestIssuer;
let login: ProviderLogin;
/** A login by which somebody came in, with a refresh token. */
let before: LoggedIn;

const toProvider = (data: ProviderData = {}) => ({
  id: "p",
  orgId: "o",
  data: { issuer: issuer.origin, clientId: "app", clientSecret: "hush", ...data },
});

function sign(change: object = {}): string {
  const exp = startSeconds + 7_200;
  return key.sign({ iss: issuer.origin, aud: "app", sub: "ann", iat: startSeconds, exp, ...change });
}

beforeEach(async () => {
  context = createTestContext();
  issuer = await lendIssuer(key);
  issuer.userinfo = { status: 200, body: { sub: "ann", email: "ann@example.org", email_verified: true } };
  login = toProviderLogin(createOidcType(context));
  const claims = { email: "ann@example.org", groups: ["staff"], sid: "s1" };
  before = expectLoggedIn(
    await logIn({ issuer, login, provider: toProvider() }, (nonce) =>
      toTokenAnswer(sign({ ...claims, nonce }), { refresh_token: "first" }),
    ),
  );
  issuer.posts.length = 0;
  context.pass(600);
});

async function renew(token: TestAnswer, data: ProviderData = {}) {
  issuer.token = token;
  const { kept = {}, identity } = before;
  return await login.renew(toProvider(data), { kept, identity });
}

describe("a login by OpenID Connect is renewed", () => {
  it("by its refresh token, and keeps the next one", async () => {
    const rotated = toTokenAnswer(sign({ email: "ann@example.org", groups: ["board"], sid: "s2" }), {
      refresh_token: "second",
      expires_in: 300,
    });
    expect(expectLoggedIn(await renew(rotated))).toMatchObject({
      identity: { subject: "ann", groups: ["board"] },
      kept: { refreshToken: "second" },
      renewAt: new Date(start.getTime() + 900_000),
      sid: "s2",
    });
    const [post] = issuer.posts;
    expect(Object.fromEntries(new URLSearchParams(post?.body))).toEqual({
      grant_type: "refresh_token",
      refresh_token: "first",
    });
  });

  it("with the refresh token it has where the issuer hands out no other", async () => {
    const { kept } = expectLoggedIn(await renew(toTokenAnswer(sign())));
    expect(kept).toEqual({ refreshToken: "first" });
  });

  it("without an ID token by what the userinfo endpoint says; the rest stands as it was told", async () => {
    issuer.userinfo = {
      status: 200,
      body: { sub: "ann", email: "ann@new.example", email_verified: true, name: "Ann" },
    };
    expect(expectLoggedIn(await renew(toTokenAnswer(undefined)))).toMatchObject({
      identity: { email: "ann@new.example", emailVerified: true, name: "Ann", groups: ["staff"] },
      sid: "s1",
    });
  });

  it("and keeps the next refresh token though the userinfo endpoint is down: asked again in a minute", async () => {
    issuer.userinfo = { status: 503, body: {} };
    expect(expectLoggedIn(await renew(toTokenAnswer(undefined, { refresh_token: "second" })))).toMatchObject({
      identity: { email: "ann@example.org", groups: ["staff"] },
      kept: { refreshToken: "second" },
      renewAt: new Date(start.getTime() + 660_000),
    });
  });

  it.each<[string, TestAnswer, string]>([
    ["the token is refused", { status: 400, body: { error: "invalid_grant" } }, "unknown_credential"],
    [
      "people have to do something",
      { status: 400, body: { error: "interaction_required" } },
      "unknown_credential",
    ],
    ["the client is not known any more", { status: 401, body: { error: "invalid_client" } }, "unavailable"],
    ["it cannot now", { status: 400, body: { error: "temporarily_unavailable" } }, "unavailable"],
    ["it fails", { status: 500, body: {} }, "unavailable"],
    ["it asks for patience", { status: 429, body: {} }, "unavailable"],
    ["it answers nonsense", { status: 200, body: "nonsense" }, "unavailable"],
    ["it answers nothing of use", { status: 200, body: {} }, "unavailable"],
  ])("not when %s", async (_name, token, reason) => {
    expect(await renew(token)).toMatchObject({ allowed: false, reason });
  });

  it.each<[string, object, string]>([
    ["is somebody else's", { sub: "eve" }, "claim_mismatch"],
    ["is another client's", { aud: "other" }, "wrong_audience"],
    ["is over", { exp: startSeconds }, "expired"],
  ])("not by an ID token that %s", async (_name, change, reason) => {
    expect(await renew(toTokenAnswer(sign(change)))).toMatchObject({ allowed: false, reason });
  });

  it("not while the issuer is down, though its document is at hand", async () => {
    await issuer.close();
    expect(await renew(toTokenAnswer(sign()))).toMatchObject({ allowed: false, reason: "unavailable" });
  });

  it("not by somebody who lacks a claim by now, and not without anything to go by", async () => {
    const data = { requiredClaims: { groups: "staff" } };
    const token = toTokenAnswer(sign({ groups: ["board"] }));
    expect(await renew(token, data)).toMatchObject({ allowed: false, reason: "claim_mismatch" });
    before = { ...before, kept: {} };
    expect(await renew(token)).toMatchObject({ allowed: false, reason: "unknown_credential" });
  });
});

describe("somebody who came in by OpenID Connect", () => {
  it("still does while the claims that are required by now are among theirs", () => {
    const { identity } = before;
    expect(login.admit(toProvider({ requiredClaims: { groups: "staff" } }), identity)).toEqual({
      allowed: true,
      identity,
    });
    expect(login.admit(toProvider({ requiredClaims: { groups: "board" } }), identity)).toMatchObject({
      allowed: false,
      reason: "claim_mismatch",
    });
  });

  it("can where there is a secret, or it is said that PKCE is in its place", () => {
    const { clientSecret: _secret, ...data } = toProvider().data;
    const secret = { clientSecret: "********" };
    expect(login.isPossible(data)).toBe(false);
    expect(login.isPossible({ ...data, supportsPkce: true })).toBe(true);
    expect(login.isPossible({ ...data, clientAuthentication: "none" })).toBe(true);
    expect(login.isPossible({ ...data, clientAuthentication: "none", supportsPkce: false })).toBe(false);
    expect(login.isPossible({ ...data, clientAuthentication: "client_secret_post" })).toBe(false);
    expect(login.isPossible({ ...data, ...secret, supportsPkce: false })).toBe(true);
    expect(login.isPossible({ ...data, ...secret, supportsNonce: false })).toBe(true);
    expect(login.isPossible({ ...data, ...secret, supportsNonce: false, supportsPkce: false })).toBe(false);
  });
});
