import { beforeEach, describe, expect, it } from "vitest";
import { createOidcType } from "./oidc.ts";
import type { LogoutOutcome, ProviderData, ProviderType } from "./provider-type.ts";
import {
  createTestContext,
  lendIssuer,
  makeKey,
  startSeconds,
  type TestContext,
  type TestIssuer,
  toProviderLogin,
} from "./test-support.ts";

const key = makeKey("k");
const event = "http://schemas.openid.net/event/backchannel-logout";

let context: TestContext;
let issuer: TestIssuer;
let type: ProviderType;

beforeEach(async () => {
  context = createTestContext();
  issuer = await lendIssuer(key);
  type = createOidcType(context);
});

/** What a logout token says, unless a test changes it. */
const toClaims = (change: object = {}) => ({
  iss: issuer.origin,
  aud: "app",
  iat: startSeconds,
  exp: startSeconds + 120,
  jti: "j1",
  sub: "ann",
  events: { [event]: {} },
  ...change,
});

async function verify(token: string, data: ProviderData = {}): Promise<LogoutOutcome> {
  const login = toProviderLogin(type);
  const instance = { id: "p", orgId: "o", data: { issuer: issuer.origin, clientId: "app", ...data } };
  return (await login.verifyLogout?.(instance, token)) ?? expect.fail("cannot be told of a logout");
}

const sign = (change: object = {}, header: object = { typ: "logout+jwt" }) =>
  key.sign(toClaims(change), header);

describe("a logout token", () => {
  it("says who signed out, and until when it could be presented again", async () => {
    expect(await verify(sign({ sid: "s1" }))).toEqual({
      allowed: true,
      subject: "ann",
      sid: "s1",
      jti: "j1",
      issuedAt: new Date(startSeconds * 1000),
      goodUntil: new Date((startSeconds + 180) * 1000),
    });
  });

  it.each<[string, object, object]>([
    ["with a session alone", { sub: undefined, sid: "s1" }, {}],
    ["of no type", {}, { typ: undefined }],
    ["of the type that any JWT has", {}, { typ: "JWT" }],
    ["for several clients", { aud: ["other", "app"] }, {}],
    ["of a moment ago, by a clock ahead of ours within the skew", { iat: startSeconds + 59 }, {}],
    ["with more of its event", { events: { [event]: { reason: "x" }, "https://other": {} } }, {}],
  ])("is taken %s", async (_name, change, header) => {
    expect(await verify(sign(change, { typ: "logout+jwt", ...header }))).toMatchObject({ allowed: true });
  });

  it("is for the client itself, whatever tokens the provider accepts else", async () => {
    const data = { audiences: ["api"], requiredClaims: { groups: "staff" } };
    expect(await verify(sign(), data)).toMatchObject({ allowed: true });
    expect(await verify(sign({ aud: "api" }), data)).toMatchObject({ reason: "wrong_audience" });
  });

  it.each<[string, object, object, string]>([
    ["is an ID token", { events: undefined, nonce: "n" }, { typ: "JWT" }, "wrong_token_type"],
    ["has a nonce", { nonce: "n" }, {}, "wrong_token_type"],
    ["has a nonce that is nothing", { nonce: null }, {}, "wrong_token_type"],
    ["tells of no event", { events: undefined }, {}, "wrong_token_type"],
    ["tells of another event", { events: { "https://other": {} } }, {}, "wrong_token_type"],
    ["tells of its event by a word", { events: { [event]: true } }, {}, "wrong_token_type"],
    ["tells of its event in a list", { events: [event] }, {}, "wrong_token_type"],
    ["is an access token by its type", {}, { typ: "at+jwt" }, "wrong_token_type"],
    ["is another issuer's", { iss: "https://evil.example.com" }, {}, "wrong_issuer"],
    ["is another client's", { aud: "other" }, {}, "wrong_audience"],
    ["has no audience", { aud: undefined }, {}, "wrong_audience"],
    ["names nobody", { sub: undefined }, {}, "malformed"],
    ["names somebody by a number", { sub: 1 }, {}, "malformed"],
    ["names somebody whom no database keeps", { sub: "a\u0000" }, {}, "malformed"],
    ["has no jti", { jti: undefined }, {}, "malformed"],
    ["has an empty jti", { jti: "" }, {}, "malformed"],
    ["has a jti beyond measure", { jti: "j".repeat(256) }, {}, "malformed"],
    ["has no iat", { iat: undefined }, {}, "malformed"],
    ["has no exp", { exp: undefined }, {}, "expired"],
    ["is over", { exp: startSeconds - 60 }, {}, "expired"],
    [
      "is old, though it says it is good",
      { iat: startSeconds - 360, exp: startSeconds + 9e6 },
      {},
      "expired",
    ],
    ["is not issued yet", { iat: startSeconds + 61 }, {}, "not_yet_valid"],
    ["names no algorithm", {}, { alg: "none" }, "wrong_algorithm"],
    ["names a symmetric algorithm", {}, { alg: "HS256" }, "wrong_algorithm"],
    ["brings its own key", {}, { jwk: key.jwk }, "malformed"],
  ])("is refused that %s", async (_name, change, header, reason) => {
    expect(await verify(sign(change, { typ: "logout+jwt", ...header }))).toMatchObject({
      allowed: false,
      reason,
    });
  });

  it("is good to the last second of the oldest age, and not after it", async () => {
    const old = { iat: startSeconds - 300, exp: startSeconds + 9e6 };
    context.pass(59);
    expect(await verify(sign(old))).toMatchObject({ allowed: true });
    context.pass(1);
    expect(await verify(sign(old))).toMatchObject({ reason: "expired" });
  });

  it("is refused that somebody else signed, and that is of no allowed algorithm", async () => {
    const forged = makeKey("k").sign(toClaims(), { typ: "logout+jwt" });
    expect(await verify(forged)).toMatchObject({ reason: "bad_signature" });
    expect(await verify(sign(), { allowedAlgorithms: ["RS256"] })).toMatchObject({
      reason: "wrong_algorithm",
    });
  });

  it("cannot be judged while the issuer's keys cannot be had", async () => {
    await issuer.close();
    expect(await verify(sign())).toMatchObject({ allowed: false, reason: "unavailable" });
  });
});
