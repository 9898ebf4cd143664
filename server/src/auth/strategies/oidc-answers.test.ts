/** What an issuer may answer that must not sign anybody in: each token made by hand, one thing wrong with it. */
import { generateKeyPairSync, type KeyObject, type KeyPairKeyObjectResult } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import {
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  type JWTPayload,
  jwtVerify,
  SignJWT,
  UnsecuredJWT,
} from "jose";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createEgress } from "../../egress/egress.ts";
import type { ClientAuthentication } from "../../lib/client-authentication.ts";
import { silentLog } from "../../lib/log.ts";
import type { Proof } from "../strategy.ts";
import { createOidcStrategy, type OidcStrategyOptions } from "./oidc.ts";

const callbackUrl = "http://127.0.0.1:9/callback";
const clientId = "vestibule";
const clientSecret = "aSecretBetweenTheTwoOfThem";
const clock = { now: () => new Date() };

type Sign = (claims: JWTPayload) => Promise<string> | string;

let site: Server;
let issuer: string;
let signOwn: Sign;
let publicKey: Awaited<ReturnType<typeof exportJWK>>;
/** What the issuer answers; each test changes one thing. */
let answers: { metadata: object; claims: JWTPayload; sign: Sign; userinfo: object; userinfoStatus: number };
let paths: string[];
let rightNonce: unknown;
/** What the browser was sent with. */
let asked: URLSearchParams;
let tokenRequests: { authorization: string | undefined; form: URLSearchParams }[];

async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  let text = "";
  for await (const chunk of request) text += chunk;
  return new URLSearchParams(text);
}

async function answer(request: IncomingMessage): Promise<object> {
  switch (request.url) {
    case "/.well-known/openid-configuration":
    case "/common/discovery":
      return {
        issuer,
        authorization_endpoint: `${issuer}/auth`,
        token_endpoint: `${issuer}/token`,
        jwks_uri: `${issuer}/jwks`,
        userinfo_endpoint: `${issuer}/userinfo`,
        id_token_signing_alg_values_supported: ["RS256"],
        ...answers.metadata,
      };
    case "/jwks":
      return { keys: [{ ...publicKey, kid: "k", alg: "RS256", use: "sig" }] };
    case "/userinfo":
      return answers.userinfo;
    default: {
      tokenRequests.push({ authorization: request.headers.authorization, form: await readForm(request) });
      const id_token = await answers.sign({ nonce: rightNonce, ...answers.claims });
      return { access_token: "at", token_type: "bearer", expires_in: 60, id_token };
    }
  }
}

beforeAll(async () => {
  const own = await generateKeyPair("RS256");
  publicKey = await exportJWK(own.publicKey);
  signOwn = (claims) =>
    new SignJWT(claims).setProtectedHeader({ alg: "RS256", kid: "k" }).sign(own.privateKey);
  site = createServer(async (request, response) => {
    paths.push(request.url ?? "");
    if (request.url === "/userinfo") response.statusCode = answers.userinfoStatus;
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(await answer(request)));
  });
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  issuer = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
});
afterAll(() => site.close());

const seconds = () => Math.floor(Date.now() / 1000);

beforeEach(() => {
  tokenRequests = [];
  const claims = { iss: issuer, sub: "ann", aud: clientId, iat: seconds(), exp: seconds() + 60 };
  const userinfo = { sub: "ann", email: "ann@example.org", email_verified: true };
  answers = { metadata: {}, claims, sign: signOwn, userinfo, userinfoStatus: 200 };
  paths = [];
});

/** Signs in with the answers as they are; the nonce is the right one unless the claims say otherwise. */
async function signIn(
  brought: { readonly issuer?: string; readonly user?: string } = {},
  change: Partial<OidcStrategyOptions> = {},
): Promise<Proof> {
  const strategy = createOidcStrategy({
    name: "acme",
    issuerUrl: issuer,
    clientId,
    clientAuthentication: { method: "announced", secret: clientSecret },
    clockSkewSeconds: 60,
    scopes: ["openid", "email"],
    flowSeconds: 600,
    callbackUrl,
    authoritativeDomains: [],
    egress: createEgress({ allowCidrs: [], allowedOrigins: [issuer], log: silentLog }),
    clock,
    log: silentLog,
    ...change,
  });
  const { secret, endpoint = "" } = await strategy.begin({ callbackUrl, state: "s" });
  asked = new URL(endpoint).searchParams;
  rightNonce = secret.nonce;
  const flow = { id: "f", callbackUrl, secret };
  return await strategy.finish({ code: "c", stateOptions: {}, flow, ...brought });
}

describe("an issuer's answer", () => {
  it("signs in as it should be, with the address that userinfo tells", async () => {
    expect(await signIn()).toMatchObject({
      issuer,
      subject: "ann",
      email: "ann@example.org",
      emailVerified: true,
    });
  });

  /** With an address, so that userinfo is not asked. */
  const name = (sub: string) => {
    answers.claims = { ...answers.claims, sub, email: "ann@example.org" };
  };
  const numbered = { sub: 7 } as object;
  const secretKey = new TextEncoder().encode(clientSecret);
  it.each<[string, () => void]>([
    ["for another client", () => (answers.claims.aud = "someone-else")],
    ["for nobody", () => delete answers.claims.aud],
    [
      "for several, and authorized to another",
      () => (answers.claims = { ...answers.claims, aud: [clientId, "x"], azp: "x" }),
    ],
    ["for several, and authorized to nobody", () => (answers.claims.aud = [clientId, "x"])],
    ["of another issuer", () => (answers.claims.iss = "https://evil.example")],
    ["of nobody in particular", () => delete answers.claims.sub],
    ["of somebody who has a number for a name", () => (answers.claims = { ...answers.claims, ...numbered })],
    ["of somebody whose name is empty", () => name("")],
    ["of somebody whose name no database keeps", () => name("ann\u0000")],
    ["of somebody whose name is half a character", () => name("\ud800")],
    ["of somebody whose name is too long", () => name("x".repeat(256))],
    ["without a nonce", () => (answers.claims.nonce = undefined)],
    ["with another nonce", () => (answers.claims.nonce = "x")],
    ["that is over, by more than the skew", () => (answers.claims.exp = seconds() - 61)],
    ["without an end", () => delete answers.claims.exp],
    ["that is not signed", () => (answers.sign = (claims) => new UnsecuredJWT(claims).encode())],
    [
      "signed by somebody else",
      () => {
        const foreign = generateKeyPair("RS256");
        answers.sign = async (claims) =>
          new SignJWT(claims).setProtectedHeader({ alg: "RS256", kid: "k" }).sign((await foreign).privateKey);
      },
    ],
    [
      "signed with the client's secret",
      () => {
        answers.sign = (claims) => new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).sign(secretKey);
      },
    ],
    ["whose userinfo is another person's", () => (answers.userinfo = { ...answers.userinfo, sub: "eve" })],
    [
      "whose userinfo is nobody's",
      () => (answers.userinfo = { email: "ann@example.org", email_verified: true }),
    ],
  ])("is refused %s", async (_name, change) => {
    change();
    await expect(signIn()).rejects.toMatchObject({ reason: "PROVIDER_PROVES_NOTHING" });
  });

  it("says that a sub must be text which is a number", async () => {
    answers.claims = { ...answers.claims, ...numbered };
    await expect(signIn()).rejects.toMatchObject({
      reason: "PROVIDER_PROVES_NOTHING",
      detail: "acme: the ID token: sub is a number, and has to be text",
    });
  });

  it("names somebody in up to 255 characters, of any script", async () => {
    name("é".repeat(255));
    expect(await signIn()).toMatchObject({ subject: "é".repeat(255) });
  });

  it("needs no iss in its callback unless the issuer promises one", async () => {
    expect(await signIn({ issuer: "" })).toMatchObject({ subject: "ann" });
    answers.metadata = { authorization_response_iss_parameter_supported: true };
    await expect(signIn({ issuer: "" })).rejects.toMatchObject({ reason: "PROVIDER_PROVES_NOTHING" });
    expect(await signIn({ issuer })).toMatchObject({ subject: "ann" });
  });

  it("is taken a moment after its end, within the skew, and of several audiences if it is authorized to us", async () => {
    answers.claims = { ...answers.claims, exp: seconds() - 50, aud: [clientId, "x"], azp: clientId };
    expect(await signIn()).toMatchObject({ subject: "ann" });
  });
});

describe("an issuer's document", () => {
  it.each([[undefined], ["/auth"], ["javascript:alert(1)"], ["data:text/html,x"]])(
    "is as good as none with the place %j to send people to",
    async (endpoint) => {
      answers.metadata = { authorization_endpoint: endpoint };
      await expect(signIn()).rejects.toMatchObject({
        reason: "PROVIDER_PROVES_NOTHING",
        message: expect.stringContaining("identity provider acme"),
      });
    },
  );
});

describe("a client proves itself", () => {
  const basic = `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString("base64")}`;

  it.each([
    ["by Basic where the issuer says nothing", {}, basic],
    [
      "by Basic where it takes both",
      { token_endpoint_auth_methods_supported: ["client_secret_post", "client_secret_basic"] },
      basic,
    ],
    [
      "in the form where it takes no Basic",
      { token_endpoint_auth_methods_supported: ["client_secret_post"] },
      undefined,
    ],
  ])("%s", async (_name, metadata, authorization) => {
    answers.metadata = metadata;
    await signIn();
    const [{ form, ...sent } = { form: new URLSearchParams() }] = tokenRequests;
    expect(sent).toEqual({ authorization });
    expect(form.get("client_secret")).toBe(authorization === undefined ? clientSecret : null);
  });
});

describe("a client proves itself as it was told to, whatever the issuer announces", () => {
  const pem = ({ privateKey }: KeyPairKeyObjectResult) =>
    privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  const p256 = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const ed25519 = generateKeyPairSync("ed25519");
  /** Which the issuer announces, each time another one than is used. */
  const announced = (method: string) =>
    method === "client_secret_basic" ? "client_secret_post" : "client_secret_basic";

  async function prove(clientAuthentication: ClientAuthentication) {
    answers.metadata = { token_endpoint_auth_methods_supported: [announced(clientAuthentication.method)] };
    await signIn({}, { clientAuthentication });
    const { authorization, form = new URLSearchParams() } = tokenRequests.at(-1) ?? {};
    return { authorization, form };
  }

  it("by Basic", async () => {
    const { authorization, form } = await prove({ method: "client_secret_basic", secret: clientSecret });
    expect(authorization).toBe(`Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString("base64")}`);
    expect(form.has("client_secret")).toBe(false);
  });

  it("in the form", async () => {
    const { authorization, form } = await prove({ method: "client_secret_post", secret: clientSecret });
    expect(authorization).toBeUndefined();
    expect(form.get("client_secret")).toBe(clientSecret);
  });

  it("not at all, by its id alone", async () => {
    const { authorization, form } = await prove({ method: "none" });
    expect(authorization).toBeUndefined();
    expect(form.get("client_id")).toBe(clientId);
    expect([...form.keys()].filter((name) => name.startsWith("client_"))).toEqual(["client_id"]);
    expect(form.get("code_verifier")).toMatch(/^[\w-]{43}$/);
  });

  it.each<[string, ClientAuthentication, Uint8Array | KeyObject]>([
    [
      "its secret",
      { method: "client_secret_jwt", secret: clientSecret },
      new TextEncoder().encode(clientSecret),
    ],
    ["a P-256 key", { method: "private_key_jwt", keys: [pem(p256), pem(rsa)] }, p256.publicKey],
    ["an RSA key", { method: "private_key_jwt", keys: [pem(rsa)] }, rsa.publicKey],
    ["an Ed25519 key", { method: "private_key_jwt", keys: [pem(ed25519)] }, ed25519.publicKey],
  ])(
    "by an assertion that %s signs, for the issuer, once, for a minute (RFC 7523 §3)",
    async (_, by, key) => {
      const first = await prove(by);
      const second = await prove(by);
      const jtis = new Set<unknown>();
      for (const { authorization, form } of [first, second]) {
        expect(authorization).toBeUndefined();
        expect(form.has("client_secret")).toBe(false);
        expect(form.get("client_assertion_type")).toBe(
          "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        );
        const { payload, protectedHeader } = await jwtVerify(form.get("client_assertion") ?? "", key, {
          issuer: clientId,
          subject: clientId,
          audience: issuer,
          requiredClaims: ["exp", "iat", "jti"],
        });
        expect(payload.aud).toBe(issuer);
        expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(60);
        if (by.method === "private_key_jwt") {
          expect(protectedHeader.kid).toBe(await calculateJwkThumbprint(key as KeyObject));
        }
        jtis.add(payload.jti);
      }
      expect(jtis.size).toBe(2);
    },
  );

  it("by a secret that a key of Apple's signs anew for every request, for a few minutes", async () => {
    const key = pem(p256);
    const { authorization, form } = await prove({ method: "apple", teamId: "TEAM", keyId: "KEY", key });
    expect(authorization).toBeUndefined();
    expect(form.get("client_id")).toBe(clientId);
    const secret = form.get("client_secret") ?? "";
    const { payload, protectedHeader } = await jwtVerify(secret, p256.publicKey, {
      issuer: "TEAM",
      subject: clientId,
      audience: issuer,
    });
    expect(protectedHeader).toEqual({ alg: "ES256", kid: "KEY" });
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(300);
  });
});

describe("an address", () => {
  const email = "ann@example.org";
  const named = { authoritativeDomains: ["example.org"] };
  const askedUserinfo = () => paths.filter((path) => path === "/userinfo").length;
  /** What the ID token and userinfo tell. */
  const tell = (token: object, userinfo: object = {}) => {
    answers.claims = { ...answers.claims, ...token };
    answers.userinfo = { sub: "ann", ...userinfo };
  };

  it.each<[string, object, object, object]>([
    ["of the token, verified", { email, email_verified: true }, {}, { email, emailVerified: true }],
    ["verified, as text", { email, email_verified: "true" }, {}, { email, emailVerified: true }],
    ["not verified, as text", { email, email_verified: "false" }, {}, { email, emailVerified: false }],
    ["verified by a number", { email, email_verified: 1 }, {}, { email, emailVerified: false }],
    [
      "of userinfo, where the token's is null",
      { email: null, email_verified: null },
      { email, email_verified: true },
      { email, emailVerified: true },
    ],
    ["of userinfo, verified as text", {}, { email, email_verified: "true" }, { email, emailVerified: true }],
    ["that nobody has", { email: null }, { email: null, email_verified: true }, { emailVerified: false }],
    [
      "of the token, which userinfo calls verified",
      { email },
      { email, email_verified: true },
      { email, emailVerified: true },
    ],
    [
      "of the token, where userinfo has verified another",
      { email },
      { email: "eve@example.org", email_verified: true },
      { email, emailVerified: false },
    ],
    [
      "of the token, where userinfo has verified none",
      { email },
      { email_verified: true },
      { email, emailVerified: false },
    ],
    [
      "of userinfo, where the token calls none verified",
      { email_verified: true },
      { email },
      { email, emailVerified: false },
    ],
    ["that nobody calls verified", { email }, { email }, { email, emailVerified: false }],
  ])("%s", async (_, token, userinfo, expected) => {
    tell(token, userinfo);
    const { email: told, emailVerified } = (await signIn()) as { email?: string; emailVerified?: boolean };
    expect({ ...(told !== undefined && { email: told }), emailVerified }).toEqual(expected);
  });

  it("is not asked of userinfo where the token tells all of it", async () => {
    tell({ email, email_verified: false });
    await signIn();
    expect(askedUserinfo()).toBe(0);
  });

  it.each<[string, object]>([
    ["is another's", { sub: "eve", email, email_verified: true }],
    ["is nobody's", { sub: undefined, email, email_verified: true }],
  ])("is not verified by a userinfo that %s (OpenID Connect Core §5.3.2)", async (_, userinfo) => {
    tell({ email }, userinfo);
    expect(await signIn()).toMatchObject({ email, emailVerified: false });
    expect(askedUserinfo()).toBe(1);
  });

  it("stands where userinfo does not answer, or does not take the token", async () => {
    tell({ email });
    for (const status of [500, 401, 404]) {
      answers.userinfoStatus = status;
      expect(await signIn()).toMatchObject({ email, emailVerified: false });
    }
    tell({ email: null });
    await expect(signIn()).rejects.toMatchObject({ reason: "PROVIDER_REFUSED" });
    answers.userinfoStatus = 500;
    await expect(signIn()).rejects.toMatchObject({ reason: "UNAVAILABLE" });
  });

  it("of a domain that the operator named is verified where the provider does not say, and only there", async () => {
    tell({ email });
    expect(await signIn({}, named)).toMatchObject({ emailVerified: true, isAuthoritative: true });
    tell({ email }, { email, email_verified: false });
    expect(await signIn({}, named)).toMatchObject({ emailVerified: false });
    tell({ email, email_verified: false });
    expect(await signIn({}, named)).toMatchObject({ emailVerified: false });
    tell({ email: "ann@sub.example.org", email_verified: null });
    expect(await signIn({}, named)).toMatchObject({ emailVerified: false, isAuthoritative: false });
  });
});

describe("a name that a provider posts beside its answer", () => {
  const posted = (user: unknown) => ({ user: typeof user === "string" ? user : JSON.stringify(user) });
  it.each<[string, unknown, string | undefined]>([
    ["both parts", { name: { firstName: "Ann", lastName: "Smith" }, email: "eve@example.org" }, "Ann Smith"],
    ["one part", { name: { firstName: " Ann\u0000 " } }, "Ann"],
    ["no text", { name: { firstName: 1, lastName: {} } }, undefined],
    ["no name", { email: "eve@example.org" }, undefined],
    ["a text", { name: "Ann" }, undefined],
    ["nothing", null, undefined],
    ["no JSON", "{", undefined],
    ["too long a name", { name: { firstName: "x".repeat(300) } }, "x".repeat(200)],
  ])("of %s is a title, and nothing else is read", async (_, user, title) => {
    const proof = await signIn(posted(user));
    expect((proof as { title?: string }).title).toBe(title);
    expect(proof).toMatchObject({ email: "ann@example.org", subject: "ann" });
  });

  it("gives way to what the token says", async () => {
    answers.claims.name = "Ann of the token";
    expect(await signIn(posted({ name: { firstName: "Eve" } }))).toMatchObject({ title: "Ann of the token" });
  });
});

describe("a provider that cannot do all", () => {
  it("is asked without a nonce, and must not bring one", async () => {
    expect(await signIn({}, { usesNonce: false })).toMatchObject({ subject: "ann" });
    expect(asked.has("nonce")).toBe(false);
    expect(asked.get("code_challenge_method")).toBe("S256");
    answers.claims.nonce = "x";
    await expect(signIn({}, { usesNonce: false })).rejects.toMatchObject({
      reason: "PROVIDER_PROVES_NOTHING",
    });
  });

  it("is asked without PKCE", async () => {
    expect(await signIn({}, { usesPkce: false })).toMatchObject({ subject: "ann" });
    expect(asked.has("code_challenge")).toBe(false);
    expect(asked.get("nonce")).toBe(rightNonce);
    expect(tokenRequests[0]?.form.has("code_verifier")).toBe(false);
  });
});

describe("an issuer of many tenants", () => {
  const tenant = "0198c0de-0000-7000-8000-00000000000a";
  const other = "0198c0de-0000-7000-8000-00000000000b";
  const ofTenant = (tid: unknown, in_iss = tid) => {
    answers.claims = { ...answers.claims, iss: `${issuer}/${in_iss}/v2.0`, tid };
  };
  const signInTo = (tenants?: readonly string[], brought: { readonly issuer?: string } = {}) =>
    signIn(brought, {
      issuerUrl: `${issuer}/{tenantid}/v2.0`,
      discoveryUrl: `${issuer}/common/discovery`,
      tenants,
    });
  beforeEach(() => {
    answers.metadata = { issuer: `${issuer}/{tenantid}/v2.0` };
    ofTenant(tenant);
  });

  it("names each person at the issuer of their tenant", async () => {
    expect(await signInTo()).toMatchObject({ issuer: `${issuer}/${tenant}/v2.0`, subject: "ann" });
    ofTenant(other);
    expect(await signInTo()).toMatchObject({ issuer: `${issuer}/${other}/v2.0`, subject: "ann" });
  });

  it("lets in the tenants that are named, and no other", async () => {
    expect(await signInTo([other, tenant])).toMatchObject({ subject: "ann" });
    await expect(signInTo([other])).rejects.toMatchObject({
      reason: "PROVIDER_PROVES_NOTHING",
      detail: `acme: the ID token: tid is ${tenant}, and has to be one of tenants`,
    });
  });

  it.each<[string, () => void]>([
    ["of another tenant than its issuer's", () => ofTenant(tenant, other)],
    ["of no tenant", () => ofTenant(undefined, tenant)],
    ["of the placeholder", () => ofTenant("{tenantid}")],
    ["of what is no tenant's id", () => ofTenant("a/../b")],
    ["of a number", () => ofTenant(7)],
    ["of another site", () => (answers.claims.iss = `https://evil.example/${tenant}/v2.0`)],
    ["by another document", () => (answers.metadata = { issuer: `${issuer}/{tenantid}/v1.0` })],
    ["by the document of one tenant", () => (answers.metadata = { issuer: `${issuer}/${tenant}/v2.0` })],
  ])("signs nobody in by a token %s", async (_, change) => {
    change();
    await expect(signInTo()).rejects.toMatchObject({ name: "DomainError" });
  });

  it("may name the tenant's issuer in its callback, and no other", async () => {
    expect(await signInTo(undefined, { issuer: `${issuer}/${tenant}/v2.0` })).toMatchObject({
      subject: "ann",
    });
    for (const brought of [`${issuer}/${other}/v2.0`, "https://evil.example", `${issuer}/x/v2.0`]) {
      await expect(signInTo(undefined, { issuer: brought })).rejects.toMatchObject({
        reason: "PROVIDER_PROVES_NOTHING",
      });
    }
  });
});

describe("one tenant's issuer", () => {
  it("is not another that its document names", async () => {
    answers.metadata = { issuer: `${issuer}/other` };
    await expect(signIn()).rejects.toMatchObject({
      reason: "PROVIDER_PROVES_NOTHING",
      detail: `acme: discovery: issuer is ${issuer}/other, and has to be ${issuer}`,
    });
  });
});
