import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Provider } from "oidc-provider";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JsonValue } from "../../lib/json.ts";
import { createOidcType } from "./oidc.ts";
import type { ProviderData } from "./provider-type.ts";
import { createTestContext, lendIssuer, makeKey, runTest, startSeconds, toOutline } from "./test-support.ts";

const key = makeKey("k1");

async function setUp(data: ProviderData = {}) {
  const issuer = await lendIssuer(key);
  const context = createTestContext({ names: { "idp.internal": ["10.0.0.1"] } });
  const provider = { id: "p1", orgId: "o1", data: { issuer: issuer.origin, clientId: "app", ...data } };
  const claims = { iss: issuer.origin, aud: "app", sub: "u1", exp: startSeconds + 600 };
  const type = createOidcType(context);
  const decideOn = (token: string) => type.authenticate(provider, { kind: "access_token", token });
  return { issuer, context, provider, claims, type, decideOn };
}

describe("judging a token", () => {
  test("answers who it is for", async () => {
    const { claims, decideOn, provider, type } = await setUp();
    const told = {
      name: "Alice",
      email: "a@example.com",
      email_verified: true,
      groups: ["g", 1],
      org_id: "org",
    };
    expect(await decideOn(key.sign({ ...claims, ...told }))).toEqual({
      allowed: true,
      identity: {
        subject: "u1",
        name: "Alice",
        email: "a@example.com",
        emailVerified: true,
        organizations: ["org"],
        groups: ["g"],
        claims: { ...claims, ...told },
        expiresAt: new Date((startSeconds + 600) * 1000),
        dependsOn: [],
      },
    });
    expect(type.accepts(provider.data)).toEqual({ issuers: [claims.iss], own: false });
  });

  test.each([
    [{ email: "a@example.com" }, false],
    [{ email: "a@example.com", email_verified: null }, false],
    [{ email: "a@example.com", email_verified: "true" }, true],
    [{ email: "a@example.com", email_verified: "false" }, false],
    [{ email: "a@example.com", email_verified: 1 }, false],
    [{ email: null, email_verified: true }, false],
    [{ email_verified: true }, false],
  ])("an address is verified only where the issuer says so: %j", async (told, verified) => {
    const { claims, decideOn } = await setUp();
    const decision = await decideOn(key.sign({ ...claims, ...told }));
    expect(decision).toMatchObject({ allowed: true, identity: { emailVerified: verified } });
  });

  test.each([
    [{ email: "a@Example.com" }, true],
    [{ email: "a@example.com", email_verified: null }, true],
    [{ email: "a@example.com", email_verified: false }, false],
    [{ email: "a@example.com", email_verified: "false" }, false],
    [{ email: "a@sub.example.com" }, false],
    [{ email: "a@example.com@evil.org" }, false],
    [{ email: "example.com" }, false],
    [{}, false],
  ])(
    "an address of an authoritative domain is verified where the issuer does not say: %j",
    async (told, verified) => {
      const { claims, decideOn } = await setUp({ authoritativeDomains: ["EXAMPLE.com"] });
      const { email: _email, ...rest } = claims as Record<string, unknown>;
      const decision = await decideOn(key.sign({ ...rest, ...told }));
      expect(decision).toMatchObject({ allowed: true, identity: { emailVerified: verified } });
    },
  );

  test("a sub that is a number is refused by that", async () => {
    const { claims, decideOn } = await setUp();
    expect(await decideOn(key.sign({ ...claims, sub: 7 }))).toMatchObject({
      reason: "claim_mismatch",
      detail: "the token's sub is a number, which has to be text: have the issuer send one",
    });
  });

  test("without audiences the token is for the client; with them for one of them, whoever got it", async () => {
    const { claims, decideOn } = await setUp();
    expect(await decideOn(key.sign({ ...claims, azp: "other" }))).toMatchObject({ reason: "wrong_audience" });
    const open = await setUp({ audiences: ["api://default"] });
    const token = { ...open.claims, aud: "api://default", azp: "other" };
    expect(await open.decideOn(key.sign(token))).toMatchObject({ allowed: true });
    expect(await open.decideOn(key.sign(open.claims))).toMatchObject({ reason: "wrong_audience" });
  });

  test("an empty list of audiences counts as none", async () => {
    const { claims, decideOn } = await setUp({ audiences: [] });
    expect(await decideOn(key.sign(claims))).toMatchObject({ allowed: true });
    expect(await decideOn(key.sign({ ...claims, aud: "other" }))).toMatchObject({ reason: "wrong_audience" });
  });

  test("holds to algorithms and required claims", async () => {
    const algorithms = await setUp({ allowedAlgorithms: ["RS256"] });
    expect(await algorithms.decideOn(key.sign(algorithms.claims))).toMatchObject({
      reason: "wrong_algorithm",
    });
    const required = await setUp({ requiredClaims: { team: "a" } });
    expect(await required.decideOn(key.sign(required.claims))).toMatchObject({ reason: "claim_mismatch" });
    expect(await required.decideOn(key.sign({ ...required.claims, team: "a" }))).toMatchObject({
      allowed: true,
    });
  });

  test("takes no other kind of credential", async () => {
    const { type, provider } = await setUp();
    for (const credential of [
      { kind: "opaque_token", token: "x" },
      { kind: "api_key", key: "x" },
      { kind: "session", cookie: "x" },
    ] as const) {
      expect(await type.authenticate(provider, credential)).toMatchObject({ reason: "wrong_kind" });
    }
  });

  test("documents are fetched once, a thousand unknown keys fetch once more per cooldown", async () => {
    const { claims, context, decideOn, issuer } = await setUp();
    const flood = () =>
      Promise.all(
        Array.from({ length: 1000 }, (_, i) => decideOn(key.sign(claims, { kid: `unknown-${i}` }))),
      );
    expect(await decideOn(key.sign(claims))).toMatchObject({ allowed: true });
    expect(new Set((await flood()).map((each) => !each.allowed && each.reason))).toEqual(
      new Set(["unknown_key"]),
    );
    expect(issuer.seen).toEqual(["GET /.well-known/openid-configuration", "GET /jwks"]);
    context.pass(30);
    await flood();
    expect(issuer.seen).toHaveLength(3);
  });

  test("a rotated key is known after the cooldown", async () => {
    const { claims, context, decideOn, issuer } = await setUp();
    await decideOn(key.sign(claims));
    const next = makeKey("k2");
    issuer.keySet.keys = [next.jwk];
    expect(await decideOn(next.sign(claims))).toMatchObject({ reason: "unknown_key" });
    context.pass(30);
    expect(await decideOn(next.sign(claims))).toMatchObject({ allowed: true });
    expect(await decideOn(key.sign(claims))).toMatchObject({ reason: "unknown_key" });
  });

  test("an issuer that is down is unavailable, which lets nobody in; known keys serve for an hour", async () => {
    const { claims, context, decideOn, issuer } = await setUp();
    const long = { ...claims, exp: startSeconds + 90_000 };
    expect(await decideOn(key.sign(long))).toMatchObject({ allowed: true });
    await issuer.close();
    context.pass(300 + 3599);
    expect(await decideOn(key.sign(long))).toMatchObject({ allowed: true });
    context.pass(1);
    expect(await decideOn(key.sign(long))).toMatchObject({ allowed: false, reason: "unavailable" });
  });

  test.each<[string, Record<string, unknown>, RegExp]>([
    ["of another issuer", { issuer: "https://evil.test" }, /says its issuer is "https:\/\/evil\.test"/],
    ["without keys", { jwks_uri: undefined }, /no jwks_uri/],
    ["with keys inside", { jwks_uri: "http://10.0.0.1/jwks" }, /internal address.*egress\.allow_cidrs/],
    ["with keys nobody may reach", { jwks_uri: "http://169.254.169.254/jwks" }, /never reached/],
    ["with keys by another scheme", { jwks_uri: "file:///etc/passwd" }, /https URL/],
  ])("a discovery document %s lets nobody in", async (_, change, detail) => {
    const { claims, decideOn, issuer } = await setUp();
    Object.assign(issuer.discovery, change);
    expect(await decideOn(key.sign(claims))).toEqual({
      allowed: false,
      reason: "unavailable",
      detail: expect.stringMatching(detail),
    });
  });
});

describe("the dry run", () => {
  test("passes for an issuer that works, secret and sample included", async () => {
    const { claims, issuer, provider, type } = await setUp({ clientSecret: "canary secret/ü" });
    const token = key.sign({ ...claims, email: "a@example.com" });
    const checks = await runTest(type, provider, { token });
    expect(toOutline(checks)).toBe(
      "name_resolution discovery issuer jwks endpoints pkce redirect_uri client sample",
    );
    expect(checks.sample?.detail).toBe('accepted: subject "u1", e-mail "a@example.com" (not verified)');
    const basic = Buffer.from("app:canary+secret%2F%C3%BC").toString("base64");
    expect(issuer.posts).toEqual([
      { authorization: `Basic ${basic}`, body: expect.stringContaining("grant_type=authorization_code") },
    ]);
    expect(JSON.stringify(checks)).not.toMatch(/canary|eyJ/);
  });

  test("without secret and sample tries neither", async () => {
    const { issuer, provider, type } = await setUp();
    expect(toOutline(await runTest(type, provider))).toBe(
      "name_resolution discovery issuer jwks endpoints pkce redirect_uri",
    );
    expect(issuer.posts).toEqual([]);
  });

  test("is loud about PKCE or a nonce that is turned off", async () => {
    for (const [data, name, other] of [
      [{ supportsPkce: false }, "pkce", "the nonce"],
      [{ supportsNonce: false }, "nonce", "PKCE"],
    ] as const) {
      const { provider, type } = await setUp(data);
      expect((await runTest(type, provider))[name]).toMatchObject({
        ok: true,
        detail: expect.stringContaining(`turned off: ${other} alone ties a code to its login`),
      });
    }
  });

  test("sends the secret as it is told to, whatever the issuer announces", async () => {
    const { issuer, provider, type } = await setUp({
      clientSecret: "canary",
      clientAuthentication: "client_secret_post",
    });
    issuer.discovery.token_endpoint_auth_methods_supported = ["client_secret_basic"];
    expect((await runTest(type, provider)).client?.ok).toBe(true);
    expect(issuer.posts[0]).toMatchObject({
      authorization: undefined,
      body: expect.stringContaining("client_secret=canary"),
    });
    const signed = await setUp({ clientSecret: "canary", clientAuthentication: "client_secret_jwt" });
    expect((await runTest(signed.type, signed.provider)).client?.detail).toContain("not tried");
    expect(signed.issuer.posts).toEqual([]);
  });

  test("sends the secret in the form where the issuer wants it there", async () => {
    const { issuer, provider, type } = await setUp({ clientSecret: "canary" });
    issuer.discovery.token_endpoint_auth_methods_supported = ["client_secret_post"];
    expect((await runTest(type, provider)).client?.ok).toBe(true);
    expect(issuer.posts[0]).toMatchObject({
      authorization: undefined,
      body: expect.stringContaining("client_id=app&client_secret=canary"),
    });
  });

  test.each([
    [401, { error: "invalid_client" }, false],
    [400, { error: "invalid_client" }, false],
    [401, {}, false],
    [400, { error: "invalid_request" }, true],
    [400, { error: "you sent canary" }, true],
  ])("client: an answer of %d %j is ok: %s, and is not repeated", async (status, body, ok) => {
    const { issuer, provider, type } = await setUp({ clientSecret: "canary" });
    issuer.token = { status, body };
    const checks = await runTest(type, provider);
    expect(checks.client?.ok).toBe(ok);
    expect(JSON.stringify(checks)).not.toContain("canary");
  });

  test.each<[string, ProviderData, Record<string, unknown>, string, RegExp]>([
    ["an unknown name", { issuer: "https://nowhere.test" }, {}, "!name_resolution", /spelling/],
    ["an internal name", { issuer: "https://idp.internal" }, {}, "!name_resolution", /egress\.allow_cidrs/],
    ["no document", { discoveryUrl: "$/none" }, {}, "name_resolution !discovery", /404/],
    ["another issuer", {}, { issuer: "x" }, "name_resolution discovery !issuer", /to the letter/],
  ])("stops at %s", async (_, data, change, outline, detail) => {
    const { issuer, provider, type } = await setUp();
    Object.assign(issuer.discovery, change);
    const changed: Record<string, JsonValue> = { ...provider.data, ...data };
    if (changed.discoveryUrl !== undefined) changed.discoveryUrl = `${issuer.origin}/none`;
    const checks = await runTest(type, { ...provider, data: changed });
    expect(toOutline(checks)).toBe(outline);
    expect(Object.values(checks).at(-1)?.detail).toMatch(detail);
  });

  test.each<[string, Record<string, unknown>, string, RegExp]>([
    ["no jwks_uri", { jwks_uri: undefined }, "jwks", /no jwks_uri/],
    ["an internal jwks_uri", { jwks_uri: "https://10.0.0.1/" }, "jwks", /internal/],
    [
      "an internal token endpoint",
      { token_endpoint: "https://10.0.0.1/" },
      "endpoints",
      /token_endpoint: 10\.0\.0\.1/,
    ],
    [
      "an internal userinfo endpoint",
      { userinfo_endpoint: "https://[::1]/" },
      "endpoints",
      /userinfo_endpoint/,
    ],
    ["no token endpoint", { token_endpoint: undefined }, "endpoints", /token_endpoint is missing/],
    ["no S256", { code_challenge_methods_supported: ["plain"] }, "pkce", /supportsPkce to false/],
  ])("tells of %s", async (_, change, name, detail) => {
    const { issuer, provider, type } = await setUp({ clientSecret: "canary" });
    Object.assign(issuer.discovery, change);
    const checks = await runTest(type, provider, {});
    expect(checks[name]).toMatchObject({ ok: false, detail: expect.stringMatching(detail) });
    if (name === "endpoints") expect(issuer.posts).toEqual([]);
  });

  test("asks the issuer to send people back where they are to be registered, with nobody signed in", async () => {
    const { issuer, provider, type } = await setUp();
    const { redirect_uri: check } = await runTest(type, provider);
    const callbackUrl = `https://auth.example.com/gate/callback/${provider.id}`;
    expect(check).toEqual({
      name: "redirect_uri",
      ok: true,
      detail: `the issuer sends people back to ${callbackUrl}`,
    });
    expect(Object.fromEntries(issuer.authorizations[0] ?? [])).toMatchObject({
      client_id: "app",
      redirect_uri: callbackUrl,
      prompt: "none",
      response_type: "code",
      code_challenge_method: "S256",
    });
  });

  test.each([
    ["refuses", { status: 400, body: "canary" }, false, /register it there as a redirect URI/],
    ["refuses", { status: 403, body: "canary" }, false, /register it there as a redirect URI/],
    ["shows a page", { status: 200, body: "canary" }, true, /does not tell/],
    ["fails", { status: 500, body: "canary" }, true, /does not tell/],
    [
      "sends people to the like of it",
      { status: 302, body: "", headers: { location: "https://auth.example.com/gate/callback/p1.canary?" } },
      true,
      /does not tell/,
    ],
  ])("says what to register where the issuer %s", async (_, answer, ok, detail) => {
    const { issuer, provider, type } = await setUp();
    issuer.authorization = answer;
    const { redirect_uri: check } = await runTest(type, provider);
    expect(check).toMatchObject({ ok, detail: expect.stringMatching(detail) });
    expect(check?.detail).toContain("https://auth.example.com/gate/callback/p1");
    expect(check?.detail).not.toContain("canary");
  });

  test("asks for no redirect of a provider that has no id so far", async () => {
    const { issuer, provider, type } = await setUp({ clientSecret: "canary" });
    const { id: _id, ...draft } = provider;
    expect(toOutline(await runTest(type, draft))).toBe(
      "name_resolution discovery issuer jwks endpoints pkce client",
    );
    expect(issuer.authorizations).toEqual([]);
  });

  test("tells of a key set without usable keys, and leaves the sample unjudged only when keys are missing", async () => {
    const { claims, issuer, provider, type } = await setUp();
    issuer.keySet.keys = [
      { kty: "oct", k: "AAAA" },
      { ...key.jwk, use: "enc" },
    ];
    const checks = await runTest(type, provider, { token: key.sign(claims) });
    expect(toOutline(checks)).toBe(
      "name_resolution discovery issuer !jwks endpoints pkce redirect_uri !sample",
    );
    expect(checks.jwks?.detail).toMatch(/1 whose kty must be RSA, EC or OKP, 1 whose use must be sig/);
    expect(checks.sample?.detail).toMatch(/not judged/);
  });

  test("says why a sample would be refused, both clocks where they matter", async () => {
    const { claims, provider, type } = await setUp();
    const checks = await runTest(type, provider, { token: key.sign({ ...claims, exp: startSeconds - 61 }) });
    expect(checks.sample).toMatchObject({
      ok: false,
      detail: expect.stringMatching(/^refused, expired: .*11:58:59Z.*12:00:00Z/),
    });
  });

  test("asks afresh each time, so a change at the issuer shows at once", async () => {
    const { claims, decideOn, issuer, provider, type } = await setUp();
    await decideOn(key.sign(claims));
    const next = makeKey("k2");
    issuer.keySet.keys = [next.jwk];
    expect((await runTest(type, provider, { token: next.sign(claims) })).sample?.ok).toBe(true);
  });
});

describe("with a real OpenID provider", () => {
  let server: Server;
  let issuer: string;

  beforeAll(async () => {
    server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const provider = new Provider(issuer, {
      clients: [
        {
          client_id: "machine",
          client_secret: "machine-secret-of-32-characters-x",
          grant_types: ["client_credentials", "authorization_code"],
          redirect_uris: ["https://auth.example.com/gate/callback/p1"],
        },
      ],
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        resourceIndicators: {
          enabled: true,
          getResourceServerInfo: () => ({
            scope: "",
            audience: "api://default",
            accessTokenFormat: "jwt" as const,
          }),
        },
      },
      cookies: { keys: ["some secret of the test"] },
      jwks: { keys: [makeKey("p1", "RS256").privateKey.export({ format: "jwk" })] },
      ttl: { ClientCredentials: 600 },
    });
    server.on("request", provider.callback());
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  const basic = `Basic ${Buffer.from("machine:machine-secret-of-32-characters-x").toString("base64")}`;

  async function getToken(): Promise<string> {
    const response = await fetch(`${issuer}/token`, {
      method: "POST",
      headers: { authorization: basic },
      body: new URLSearchParams({ grant_type: "client_credentials", resource: "https://api.example.com" }),
    });
    return ((await response.json()) as { access_token: string }).access_token;
  }

  test("its token comes in, and its dry run passes", async () => {
    const type = createOidcType(createTestContext({ now: new Date() }));
    const data = {
      issuer,
      clientId: "machine",
      clientSecret: "machine-secret-of-32-characters-x",
      audiences: ["api://default"],
    };
    const provider = { id: "p1", orgId: "o1", data };
    const token = await getToken();
    expect(await type.authenticate(provider, { kind: "access_token", token })).toMatchObject({
      allowed: true,
      identity: { subject: "machine" },
    });
    const checks = await runTest(type, provider, { token });
    expect(toOutline(checks)).toBe(
      "name_resolution discovery issuer jwks endpoints pkce redirect_uri client sample",
    );
    expect(checks.client?.detail).toBe("the issuer accepts clientId and clientSecret");

    const wrong = { ...provider, data: { ...data, clientSecret: "another-secret-of-32-characters-x" } };
    expect((await runTest(type, wrong)).client).toMatchObject({ ok: false });
  });
});
