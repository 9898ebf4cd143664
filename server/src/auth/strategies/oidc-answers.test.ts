/** What an issuer may answer that must not sign anybody in: each token made by hand, one thing wrong with it. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT, UnsecuredJWT } from "jose";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createEgress } from "../../egress/egress.ts";
import { silentLog } from "../../lib/log.ts";
import { createOidcStrategy } from "./oidc.ts";

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
let answers: { metadata: object; claims: JWTPayload; sign: Sign; userinfo: object };
let rightNonce: unknown;
let tokenRequests: { authorization: string | undefined; form: URLSearchParams }[];

async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  let text = "";
  for await (const chunk of request) text += chunk;
  return new URLSearchParams(text);
}

async function answer(request: IncomingMessage): Promise<object> {
  switch (request.url) {
    case "/.well-known/openid-configuration":
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
  answers = { metadata: {}, claims, sign: signOwn, userinfo };
});

/** Signs in with the answers as they are; the nonce is the right one unless the claims say otherwise. */
async function signIn(brought: { readonly issuer?: string } = {}) {
  const strategy = createOidcStrategy({
    name: "acme",
    issuerUrl: issuer,
    clientId,
    clientSecret,
    clockSkewSeconds: 60,
    scopes: ["openid", "email"],
    flowSeconds: 600,
    callbackUrl,
    authoritativeDomains: [],
    egress: createEgress({ allowCidrs: [], allowedOrigins: [issuer], log: silentLog }),
    clock,
    log: silentLog,
  });
  const { secret } = await strategy.begin({ callbackUrl, state: "s" });
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
    await expect(signIn()).rejects.toMatchObject({ reason: "INVALID_FLOW" });
  });

  it("names somebody in up to 255 characters, of any script", async () => {
    name("é".repeat(255));
    expect(await signIn()).toMatchObject({ subject: "é".repeat(255) });
  });

  it("needs no iss in its callback unless the issuer promises one", async () => {
    expect(await signIn({ issuer: "" })).toMatchObject({ subject: "ann" });
    answers.metadata = { authorization_response_iss_parameter_supported: true };
    await expect(signIn({ issuer: "" })).rejects.toMatchObject({ reason: "INVALID_FLOW" });
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
        reason: "UNAVAILABLE",
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
