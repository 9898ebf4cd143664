/**
 * Why a provider let nobody in: the log and the audit name the cause, the
 * visitor is told whom to tell, and none of them holds a secret.
 */
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT, UnsecuredJWT } from "jose";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createFrontdoor, type TestFrontdoor } from "./parts/gate.ts";
import { GateVisitor } from "./parts/gate-visitor.ts";
import { type Answer, basic, postJson } from "./parts/http.ts";
import { Person } from "./parts/person.ts";
import { startServer, type TestServer } from "./parts/server.ts";
import { type StandIn, type StandInAnswer, type StandInRequest, startStandIn } from "./parts/stand-in.ts";

const clientId = "vestibule";
const clientSecret = "hush-this-is-the-clients-secret";
const hostname = "app.example.com";
const appPage = "https://app.example.org/callback";

let issuer: StandIn;
let server: TestServer;
let frontdoor: TestFrontdoor;
let providerId: string;
let key: Awaited<ReturnType<typeof generateKeyPair>>;
/** What the issuer answers; each test changes one thing. */
let answers: {
  token: (claims: JWTPayload) => StandInAnswer | Promise<StandInAnswer>;
  claims: JWTPayload;
};
let nonce: string | null;

const sign = (claims: JWTPayload) =>
  new SignJWT(claims).setProtectedHeader({ alg: "RS256", kid: "k" }).sign(key.privateKey);
const withToken = (id_token: string) => ({
  body: { access_token: "hush-this-is-the-access-token", token_type: "bearer", expires_in: 60, id_token },
});

async function answer({ path, form }: StandInRequest, origin: string): Promise<StandInAnswer> {
  switch (path) {
    case "/.well-known/openid-configuration":
      return {
        body: {
          issuer: origin,
          authorization_endpoint: `${origin}/auth`,
          token_endpoint: `${origin}/token`,
          jwks_uri: `${origin}/jwks`,
          id_token_signing_alg_values_supported: ["RS256"],
        },
      };
    case "/jwks":
      return {
        body: { keys: [{ ...(await exportJWK(key.publicKey)), kid: "k", alg: "RS256", use: "sig" }] },
      };
    default: {
      const now = Math.floor(Date.now() / 1000);
      const good = { iss: origin, aud: clientId, sub: "ann", iat: now, exp: now + 60, nonce };
      sentCodes.push(form.get("code") ?? "");
      return await answers.token({ ...good, email: "ann@example.org", ...answers.claims });
    }
  }
}

const sentCodes: string[] = [];

beforeAll(async () => {
  key = await generateKeyPair("RS256");
  issuer = await startStandIn(answer);
  server = await startServer({
    config: {
      log: { format: "json" },
      egress: { allow_cidrs: ["127.0.0.0/8"] },
      authentication: {
        callback_urls: [appPage],
        oidc_config: {
          acme: { issuer_url: issuer.origin, client_id: clientId, client_secret: clientSecret },
        },
      },
    },
  });
  frontdoor = await createFrontdoor(server, { hostname, scheme: "https" });
  const data = { issuer: issuer.origin, clientId, clientSecret };
  const providers = `/frontdoor/${frontdoor.id}/auth-providers`;
  providerId = (await frontdoor.call("POST", providers, { name: "acme", type: "OIDC", data })).id;
  await frontdoor.call("PUT", `/frontdoor/${frontdoor.id}/custom-frontends/${frontdoor.frontendId}`, {
    hostname,
    scheme: "https",
    authProviderIds: [providerId],
  });
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await issuer?.[Symbol.asyncDispose]();
});
beforeEach(() => {
  answers = { token: async (claims) => withToken(await sign(claims)), claims: {} };
});

let count = 0;
const newCode = () => `hush-this-is-the-code-${count++}`;

/** The query that the provider sends somebody back with. */
function toBack(endpoint: string, brought: Record<string, string>): string {
  const asked = new URL(endpoint).searchParams;
  nonce = asked.get("nonce");
  return new URLSearchParams({ state: asked.get("state") ?? "", ...brought }).toString();
}

/** Signs in by browser, and comes back with this. */
async function comeBack(brought: Record<string, string> = { code: newCode() }): Promise<Answer> {
  const person = new Person(server);
  const callbackUrl = `http://localhost:${server.port}/auth/callback/acme`;
  const { json } = await person.call("Authenticate", { strategyName: "acme", callbackUrl });
  return await person.send(`/auth/callback/acme?${toBack(json.endpoint, brought)}`);
}

/** The same at the gate. */
async function comeToApp(brought: Record<string, string> = { code: newCode() }) {
  const origin = `https://${hostname}`;
  const visitor = new GateVisitor(server, { origin, frontdoor });
  let there = `${origin}/x`;
  while (!there.startsWith(issuer.origin)) {
    const hop = await visitor.hop(there);
    expect(hop.headers.location, hop.text).toBeDefined();
    there = String(hop.headers.location);
  }
  const back = toBack(there, brought);
  return await visitor.open(`http://localhost:${server.port}/gate/callback/${providerId}?${back}`);
}

/** The record of a refused sign-in or login by the request that a page names. */
async function findRecord(requestId: string) {
  const list = () =>
    postJson(server, "/vestibule.v1.AuditService/ListAuditRecords", { request_id: requestId }, basic(server));
  await expect.poll(async () => (await list()).json.records ?? []).toHaveLength(1);
  return (await list()).json.records[0];
}

const findRequestId = (page: string) => /Request <code>([^<]+)</.exec(page)?.[1] ?? "";
const findTitle = (page: string) => /<h1>([^<]*)</.exec(page)?.[1];

/** The line of the log about a request. */
function findLine(requestId: string): string {
  const lines = server.stdout().split("\n");
  return lines.find((line) => line.includes(requestId) && line.includes("callback")) ?? "";
}

const refusedTitle = "Acme refused this site";
const provesTitle = "What Acme answered proves nothing";
const overTitle = "This sign-in is over";
const awayTitle = "Acme does not answer";

const causes: [string, () => unknown, string, string, object][] = [
  [
    "the client's secret is wrong",
    () => {
      answers.token = () => ({
        status: 401,
        headers: { "www-authenticate": "Basic" },
        body: { error: "invalid_client", error_description: `no ${clientSecret} with ${sentCodes.at(-1)}` },
      });
    },
    "PROVIDER_REFUSED",
    refusedTitle,
    { cause: "refused", at: "token_endpoint", error: "invalid_client", description: "no … with …" },
  ],
  [
    "the code was used",
    () => (answers.token = () => ({ status: 400, body: { error: "invalid_grant" } })),
    "INVALID_FLOW",
    overTitle,
    { cause: "refused", at: "token_endpoint", error: "invalid_grant" },
  ],
  [
    "it says no with 200",
    () => (answers.token = () => ({ body: { ok: false, error: "bad_client_secret" } })),
    "PROVIDER_REFUSED",
    refusedTitle,
    { cause: "refused", at: "token_endpoint", error: "bad_client_secret" },
  ],
  [
    "it answers a page",
    () => (answers.token = () => ({ status: 404, headers: { "content-type": "text/html" }, body: "<h1>" })),
    "PROVIDER_REFUSED",
    refusedTitle,
    { cause: "status", at: "token_endpoint", status: "404" },
  ],
  [
    "it fails",
    () => (answers.token = () => ({ status: 503, body: {} })),
    "UNAVAILABLE",
    awayTitle,
    { cause: "status", at: "token_endpoint", status: "503" },
  ],
  [
    "the token is for somebody else",
    () => (answers.claims = { aud: "another" }),
    "PROVIDER_PROVES_NOTHING",
    provesTitle,
    { cause: "claim", at: "token_endpoint", claim: "aud", expected: clientId, found: "another" },
  ],
  [
    "the token is over",
    () => (answers.claims = { exp: 60 }),
    "PROVIDER_PROVES_NOTHING",
    provesTitle,
    { cause: "claim", claim: "exp", found: "1970-01-01T00:01:00.000Z" },
  ],
  [
    "the token is not signed",
    () => (answers.token = (claims) => withToken(new UnsecuredJWT(claims).encode())),
    "PROVIDER_PROVES_NOTHING",
    provesTitle,
    { cause: "algorithm", expected: "RS256", found: "none" },
  ],
];

describe("a provider that let nobody in, since", () => {
  it.each(causes)("%s: log, audit and page say so", async (_name, change, reason, title, details) => {
    change();
    const page = await comeBack();
    const requestId = findRequestId(page.text);
    expect(findTitle(page.text)).toBe(title);
    const isHopeless = reason.startsWith("PROVIDER");
    expect(/tell whoever runs this site the request/.test(page.text)).toBe(
      isHopeless || reason === "INVALID_FLOW",
    );
    expect(/try again in|start again\b/i.test(page.text)).toBe(!isHopeless);
    expect(await findRecord(requestId)).toMatchObject({
      action: "sign_in.refuse",
      reason,
      details: { strategy: "acme", ...details },
    });
    const line = JSON.parse(findLine(requestId));
    expect(line).toMatchObject({ reason, detail: expect.stringContaining("acme: ") });
    const { cause: _, at: __, ...said } = { cause: "", at: "", ...details };
    for (const value of Object.values(said)) expect(line.detail).toContain(value);
  });

  it.each(causes)("%s: the gate says so too", async (_name, change, reason, title, details) => {
    change();
    const page = await comeToApp();
    expect(findTitle(page.text)).toBe(title);
    expect(page.text.includes("Try again")).toBe(!reason.startsWith("PROVIDER"));
    expect(await findRecord(findRequestId(page.text))).toMatchObject({
      action: "gate_login.refuse",
      reason,
      details: { provider: providerId, ...details },
    });
  });

  it("the client may not do that is told from a person's no", async () => {
    const refused = { error: "unauthorized_client", error_description: "not enabled for this client" };
    for (const page of [await comeBack(refused), await comeToApp(refused)]) {
      expect(findTitle(page.text)).toBe(refusedTitle);
      expect(await findRecord(findRequestId(page.text))).toMatchObject({
        reason: "PROVIDER_REFUSED",
        details: {
          at: "authorization_endpoint",
          error: "unauthorized_client",
          description: refused.error_description,
        },
      });
    }
    for (const page of [
      await comeBack({ error: "access_denied" }),
      await comeToApp({ error: "access_denied" }),
    ]) {
      expect(findTitle(page.text)).toBe("You are not signed in");
    }
  });

  it("a client's page tells by the reason, which names the provider alone", async () => {
    answers.claims = { iss: "https://evil.example" };
    const person = new Person(server);
    const begun = await person.call("Authenticate", { strategyName: "acme", callbackUrl: appPage });
    const { state = "" } = Object.fromEntries(new URLSearchParams(toBack(begun.json.endpoint, {})));
    const refused = await person.call("AuthCallback", { state, code: newCode() });
    expect(refused.json).toMatchObject({
      code: "failed_precondition",
      message: "nothing is proven by what identity provider acme answered: tell the operator the request id",
    });
    expect(refused.text).toContain("PROVIDER_PROVES_NOTHING");
    expect(refused.text).not.toContain("evil.example");
  });

  it("none of it holds a secret, a code or a token", async () => {
    const list = await postJson(
      server,
      "/vestibule.v1.AuditService/ListAuditRecords",
      { page_size: 200 },
      basic(server),
    );
    expect(list.text).toContain("PROVIDER_REFUSED");
    expect(list.text + server.stdout()).not.toContain("hush");
  });
});
