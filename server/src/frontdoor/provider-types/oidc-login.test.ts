import { createHash } from "node:crypto";
import { beforeEach, describe, expect, it } from "vitest";
import { createOidcType } from "./oidc.ts";
import type { LoginOutcome, ProviderData, ProviderLogin } from "./provider-type.ts";
import {
  callbackUrl,
  createTestContext,
  expectLoggedIn,
  lendIssuer,
  logIn,
  makeKey,
  startSeconds,
  type TestAnswer,
  type TestContext,
  type TestIssuer,
  toProviderLogin,
  toTokenAnswer,
} from "./test-support.ts";

const key = makeKey("k");
const foreignKey = makeKey("k");

let context: TestContext;
let issuer: TestIssuer;
let login: ProviderLogin;

beforeEach(async () => {
  context = createTestContext();
  issuer = await lendIssuer(key);
  login = toProviderLogin(createOidcType(context));
});

function toProvider(data: ProviderData = {}) {
  const given = { issuer: issuer.origin, clientId: "app", clientSecret: "hush", ...data };
  return { id: "p", orgId: "o", data: given };
}

type Provider = ReturnType<typeof toProvider>;

/** What an ID token of the issuer says, unless a test changes it. */
function toClaims(change: object = {}) {
  const [iat, exp] = [startSeconds, startSeconds + 900];
  const times = { iat, exp };
  return { iss: issuer.origin, aud: "app", sub: "ann", email: "ann@example.org", ...times, ...change };
}

/** @see logIn */
async function signIn(
  provider: Provider,
  answer: (nonce: unknown) => TestAnswer,
  brought: { readonly issuer?: string } = {},
): Promise<LoginOutcome> {
  return await logIn({ issuer, login, provider }, answer, brought);
}

describe("a login by OpenID Connect begins", () => {
  const ask = async (data: ProviderData = {}, request: object = {}) => {
    const begun = await login.begin(toProvider(data), { callbackUrl, state: "s", ...request });
    return { ...begun, sent: Object.fromEntries(new URL(begun.endpoint).searchParams) };
  };

  it("with state, nonce and PKCE, at the issuer's own endpoint", async () => {
    const { endpoint, sent, secret } = await ask();
    expect(endpoint.startsWith(`${issuer.origin}/authorize?`)).toBe(true);
    const challenge = createHash("sha256").update(String(secret.verifier)).digest("base64url");
    expect(sent).toEqual({
      client_id: "app",
      response_type: "code",
      response_mode: "query",
      redirect_uri: callbackUrl,
      scope: "openid email profile",
      state: "s",
      nonce: secret.nonce,
      code_challenge: challenge,
      code_challenge_method: "S256",
    });
  });

  it("without PKCE where the provider refuses it, by the nonce still", async () => {
    const { sent, secret } = await ask({ supportsPkce: false });
    expect(sent).not.toHaveProperty("code_challenge");
    expect(sent.nonce).toBe(secret.nonce);
    expect(secret).not.toHaveProperty("verifier");
  });

  it.each<[string, object, ProviderData, object, object]>([
    ["silently", {}, {}, { prompt: "none" }, { prompt: "none" }],
    ["anew", {}, {}, { prompt: "again" }, { prompt: "login" }],
    [
      "anew, with the accounts to choose from",
      { prompt_values_supported: ["login", "select_account"] },
      {},
      { prompt: "again" },
      { prompt: "select_account" },
    ],
    ["with a proposal", {}, {}, { loginHint: "ann@example.org" }, { login_hint: "ann@example.org" }],
    ["for other scopes", {}, { scopes: ["groups"] }, {}, { scope: "openid groups" }],
    [
      "for refresh tokens where they are listed",
      { scopes_supported: ["openid", "offline_access"] },
      {},
      {},
      { scope: "openid email profile offline_access" },
    ],
    [
      "for refresh tokens with people's consent where the data say so",
      {},
      { scopes: ["openid", "offline_access"] },
      { prompt: "again" },
      { scope: "openid offline_access", prompt: "login consent" },
    ],
  ])("%s", async (_name, document, data, request, expected) => {
    Object.assign(issuer.discovery, document);
    expect((await ask(data, request)).sent).toMatchObject(expected);
  });

  it("not while the issuer cannot be asked, and says which", async () => {
    await issuer.close();
    await expect(ask()).rejects.toMatchObject({
      reason: "UNAVAILABLE",
      message: expect.stringContaining(new URL(issuer.origin).host),
    });
  });

  it("at an issuer whose document is elsewhere, and at none that names another", async () => {
    const elsewhere = { issuer: "https://id.example.com" };
    const discoveryUrl = `${issuer.origin}/.well-known/openid-configuration`;
    await expect(ask({ ...elsewhere, discoveryUrl })).rejects.toMatchObject({
      reason: "PROVIDER_PROVES_NOTHING",
      findings: {
        cause: "claim",
        at: "discovery",
        claim: "issuer",
        expected: elsewhere.issuer,
        found: issuer.origin,
      },
    });
    Object.assign(issuer.discovery, elsewhere, { authorization_endpoint: "https://id.example.com/a" });
    context.pass(3_600);
    const { endpoint } = await ask({ ...elsewhere, discoveryUrl });
    expect(endpoint).toMatch(/^https:\/\/id\.example\.com\/a\?/);
  });
});

describe("a login by OpenID Connect ends", () => {
  it("with who it is, when to ask again, and what by", async () => {
    const claims = toClaims({ email_verified: true, name: "Ann", groups: ["staff"], sid: "s1" });
    const outcome = await signIn(toProvider(), (nonce) =>
      toTokenAnswer(key.sign({ ...claims, nonce }), { expires_in: 600, refresh_token: "rt" }),
    );
    expect(outcome).toEqual({
      allowed: true,
      identity: {
        subject: "ann",
        name: "Ann",
        email: "ann@example.org",
        emailVerified: true,
        organizations: [],
        groups: ["staff"],
        claims: expect.objectContaining({ sub: "ann", groups: ["staff"] }),
        dependsOn: [],
      },
      renewAt: new Date((startSeconds + 600) * 1000),
      kept: { refreshToken: "rt" },
      sid: "s1",
    });
    const [post] = issuer.posts;
    expect(post?.authorization).toBe(`Basic ${Buffer.from("app:hush").toString("base64")}`);
    expect(Object.fromEntries(new URLSearchParams(post?.body))).toMatchObject({
      grant_type: "authorization_code",
      code: "c",
      redirect_uri: callbackUrl,
      code_verifier: expect.stringMatching(/^[\w-]{43,}$/),
    });
  });

  it.each([
    ["the ID token's end where the access token has none", {}, 900],
    ["a minute at the earliest", { expires_in: 5 }, 60],
    ["an hour at the latest", { expires_in: 86_400 }, 3_600],
  ])("and is asked again after %s", async (_name, rest, seconds) => {
    const outcome = await signIn(toProvider(), (nonce) =>
      toTokenAnswer(key.sign({ ...toClaims(), nonce }), rest),
    );
    const { renewAt, kept } = expectLoggedIn(outcome);
    expect(renewAt).toEqual(new Date((startSeconds + seconds) * 1000));
    expect(kept).toBeUndefined();
  });

  it("with what the userinfo endpoint adds where the ID token is short of a claim, which it may not change", async () => {
    issuer.userinfo = {
      status: 200,
      body: { sub: "ann", email: "ann@example.org", email_verified: true, groups: ["staff"], name: "Eve" },
    };
    const provider = toProvider({ requiredClaims: { groups: ["staff"] } });
    const outcome = await signIn(provider, (nonce) =>
      toTokenAnswer(key.sign({ ...toClaims({ email: undefined, name: "Ann" }), nonce })),
    );
    expect(expectLoggedIn(outcome).identity).toMatchObject({
      name: "Ann",
      email: "ann@example.org",
      emailVerified: true,
      groups: ["staff"],
    });
  });

  it.each<[string, object, TestAnswer, boolean]>([
    ["verified by a text", { email_verified: "true" }, { status: 500, body: {} }, true],
    [
      "verified by userinfo",
      {},
      { status: 200, body: { sub: "ann", email: "ann@example.org", email_verified: true } },
      true,
    ],
    [
      "not verified by userinfo, which verified another",
      {},
      { status: 200, body: { sub: "ann", email: "eve@example.org", email_verified: true } },
      false,
    ],
    [
      "not verified by somebody else's userinfo",
      {},
      { status: 200, body: { sub: "eve", email: "ann@example.org", email_verified: true } },
      false,
    ],
    ["not verified where userinfo does not answer", {}, { status: 503, body: {} }, false],
  ])("with an address that is %s", async (_, change, userinfo, verified) => {
    issuer.userinfo = userinfo;
    const outcome = await signIn(toProvider(), (nonce) =>
      toTokenAnswer(key.sign({ ...toClaims(change), nonce })),
    );
    expect(expectLoggedIn(outcome).identity).toMatchObject({
      email: "ann@example.org",
      emailVerified: verified,
    });
  });

  it("by the method that is named, with no nonce where the provider takes none", async () => {
    issuer.discovery.token_endpoint_auth_methods_supported = ["client_secret_basic"];
    const provider = toProvider({ clientAuthentication: "client_secret_post", supportsNonce: false });
    let asked: unknown = "not asked";
    expectLoggedIn(
      await signIn(provider, (nonce) => {
        asked = nonce;
        return toTokenAnswer(key.sign(toClaims()));
      }),
    );
    expect(asked).toBeUndefined();
    expect(issuer.posts[0]?.authorization).toBeUndefined();
    expect(new URLSearchParams(issuer.posts[0]?.body).get("client_secret")).toBe("hush");
  });

  const ago = (seconds: number) => startSeconds - seconds;
  it.each<[string, object, ProviderData, string]>([
    ["for another client", { aud: "other" }, {}, "wrong_audience"],
    ["for several clients, and authorized to none", { aud: ["app", "x"] }, {}, "wrong_audience"],
    ["of another issuer", { iss: "https://evil.example.com" }, {}, "wrong_issuer"],
    ["with another nonce", { nonce: "x" }, {}, "claim_mismatch"],
    ["without a nonce", { nonce: undefined }, {}, "malformed"],
    ["that is over by more than the skew", { exp: ago(61) }, {}, "expired"],
    ["that is not good yet by more than the skew", { nbf: ago(-62) }, {}, "expired"],
    ["without a subject", { sub: undefined }, {}, "malformed"],
    ["whose subject no database keeps", { sub: "a\u0000" }, {}, "malformed"],
    ["without a claim that is required", {}, { requiredClaims: { groups: "staff" } }, "claim_mismatch"],
    ["that says more than is kept", { groups: Array(2_000).fill("x".repeat(8)) }, {}, "malformed"],
    ["of an algorithm that is not allowed", {}, { allowedAlgorithms: ["RS256"] }, "bad_signature"],
  ])("with a refusal for an ID token %s", async (_name, change, data, reason) => {
    const outcome = await signIn(toProvider(data), (nonce) =>
      toTokenAnswer(key.sign({ ...toClaims(), nonce, ...change })),
    );
    expect(outcome).toMatchObject({ allowed: false, reason });
  });

  it.each([
    ["a moment after its end", { exp: ago(59) }],
    ["a moment before it is good", { nbf: ago(-59) }],
  ])("with a yes for an ID token %s, within the skew", async (_name, change) => {
    expectLoggedIn(
      await signIn(toProvider(), (nonce) => toTokenAnswer(key.sign({ ...toClaims(change), nonce }))),
    );
  });

  it.each<[string, TestAnswer, string]>([
    ["no to the code", { status: 400, body: { error: "invalid_grant" } }, "unknown_credential"],
    ["no to the client", { status: 401, body: { error: "invalid_client" } }, "unavailable"],
    [
      "no to the client, with a challenge",
      { status: 401, body: { error: "invalid_client" }, headers: { "www-authenticate": "Basic" } },
      "unavailable",
    ],
    ["that it cannot", { status: 503, body: {} }, "unavailable"],
    ["that it is asked too often", { status: 429, body: {} }, "unavailable"],
    ["no ID token", { status: 200, body: { access_token: "at", token_type: "bearer" } }, "malformed"],
    ["nothing that is JSON", { status: 200, body: "<html>" }, "malformed"],
    ["a page", { status: 200, body: "<html>", headers: { "content-type": "text/html" } }, "malformed"],
    ["a list", { status: 200, body: [] }, "malformed"],
    ["more than is read", { status: 200, body: { access_token: "x".repeat(200_000) } }, "unavailable"],
    ["a redirect", { status: 302, body: {}, headers: { location: "https://evil.example" } }, "malformed"],
  ])(
    "with a refusal where the issuer answers %s, and nothing of it is repeated",
    async (_name, token, reason) => {
      const outcome = await signIn(toProvider(), () => token);
      expect(outcome).toMatchObject({ allowed: false, reason });
      expect(JSON.stringify(outcome)).not.toMatch(/hush|evil|xxxx/);
    },
  );

  it("without asking inside the network, whatever the issuer's document names", async () => {
    issuer.discovery.token_endpoint = "http://10.0.0.1/token";
    const outcome = await signIn(toProvider(), () => toTokenAnswer(undefined));
    expect(outcome).toMatchObject({ allowed: false, reason: "unavailable" });
    expect(issuer.posts).toEqual([]);
  });

  it("with a refusal for the code that another client of the same issuer was answered", async () => {
    const [one, other] = [toProvider(), toProvider({ clientId: "another" })];
    const { secret } = await login.begin(other, { callbackUrl, state: "t" });
    const mixed = await signIn(one, () =>
      toTokenAnswer(key.sign({ ...toClaims({ aud: "another" }), nonce: secret.nonce })),
    );
    expect(mixed).toMatchObject({ allowed: false, reason: "wrong_audience" });
    const crossed = await signIn(one, () => toTokenAnswer(key.sign({ ...toClaims(), nonce: secret.nonce })));
    expect(crossed).toMatchObject({ allowed: false, reason: "claim_mismatch" });
  });

  it("with a refusal for another's signature and another's userinfo", async () => {
    const forged = await signIn(toProvider(), (nonce) =>
      toTokenAnswer(foreignKey.sign({ ...toClaims(), nonce })),
    );
    expect(forged).toMatchObject({ allowed: false, reason: "bad_signature" });
    issuer.userinfo = { status: 200, body: { sub: "eve", email: "eve@example.org" } };
    context.pass(3_600);
    const now = startSeconds + 3_600;
    const mixed = await signIn(toProvider(), (nonce) =>
      toTokenAnswer(key.sign({ ...toClaims({ email: undefined, iat: now, exp: now + 60 }), nonce })),
    );
    expect(mixed).toMatchObject({ allowed: false });
  });

  it("with a refusal for an answer of another issuer, and for none where the issuer promises to name itself (RFC 9207)", async () => {
    const good = (nonce: unknown) => toTokenAnswer(key.sign({ ...toClaims(), nonce }));
    const mixed = await signIn(toProvider(), good, { issuer: "https://evil.example.com" });
    expect(mixed).toMatchObject({ allowed: false, reason: "malformed" });
    expect(issuer.posts).toEqual([]);
    expectLoggedIn(await signIn(toProvider(), good, { issuer: issuer.origin }));
    issuer.discovery.authorization_response_iss_parameter_supported = true;
    context.pass(300);
    expect(await signIn(toProvider(), good)).toMatchObject({ allowed: false, reason: "malformed" });
    expect(issuer.posts).toHaveLength(1);
  });
});
