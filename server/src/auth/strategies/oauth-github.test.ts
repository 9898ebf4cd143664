import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createEgress } from "../../egress/egress.ts";
import { silentLog } from "../../lib/log.ts";
import { toGithubEndpoints, wellKnownProviders } from "../../lib/well-known-providers.ts";
import type { Strategy } from "../strategy.ts";
import { createOAuthStrategy } from "./oauth.ts";

const callbackUrl = "http://127.0.0.1:9/callback";
const verified = { email: "Ann@Example.org", primary: true, verified: true };

/** A site that answers as GitHub does. */
let site: Server;
let baseUrl: string;
let strategy: Strategy;
let asked: { path: string; form: URLSearchParams; authorization: string | undefined }[];
let answers: {
  token: object;
  user: object;
  emails: unknown;
  status: number;
  /** Of the API alone. */
  api: { status?: number; headers?: Record<string, string> };
};

async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  let text = "";
  for await (const chunk of request) text += chunk;
  return new URLSearchParams(text);
}

beforeAll(async () => {
  site = createServer(async (request, response) => {
    const path = request.url ?? "";
    asked.push({ path, form: await readForm(request), authorization: request.headers.authorization });
    const { status = answers.status, headers = {} } = path.startsWith("/api/") ? answers.api : {};
    response.statusCode = status;
    response.setHeaders(new Map(Object.entries({ "content-type": "application/json", ...headers })));
    if (path === "/login/oauth/access_token") response.end(JSON.stringify(answers.token));
    else if (path === "/api/v3/user") response.end(JSON.stringify(answers.user));
    else if (path === "/api/v3/user/emails") response.end(JSON.stringify(answers.emails));
    else response.writeHead(404).end();
  });
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  baseUrl = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
  const { preset } = wellKnownProviders.github;
  strategy = createOAuthStrategy({
    name: "github",
    issuerUrl: baseUrl,
    ...toGithubEndpoints(baseUrl),
    claims: preset.claims,
    usesPkce: preset.pkce,
    clientId: "client",
    clientAuthentication: { method: preset.clientAuthentication, secret: "secret" },
    scopes: preset.scopes,
    flowSeconds: 600,
    callbackUrl: "https://id.example.org/auth/callback/github",
    authoritativeDomains: [],
    egress: createEgress({ allowCidrs: [], allowedOrigins: [baseUrl], log: silentLog }),
  });
});
afterAll(() => site.close());
beforeEach(() => {
  asked = [];
  answers = {
    token: { access_token: "gho_x", token_type: "bearer" },
    user: {
      id: 42,
      login: "ann",
      name: "Ann",
      email: "public@example.org",
      avatar_url: "https://a.example.org/42",
    },
    emails: [{ email: "old@example.org", primary: false, verified: true }, verified],
    status: 200,
    api: {},
  };
});

const request = { callbackUrl, state: "the-state" };

async function signIn(code = "the-code") {
  const { secret } = await strategy.begin(request);
  return await strategy.finish({ code, stateOptions: {}, flow: { id: "f", callbackUrl, secret } });
}

describe("GitHub", () => {
  it.each(["https://evil.example/login/oauth", "evil", "null"])(
    "takes no answer that names another issuer (%s), and asks nobody with its code (RFC 9207)",
    async (issuer) => {
      const answer = { code: "the-code", stateOptions: {}, flow: { id: "f", callbackUrl, secret: {} } };
      await expect(strategy.finish({ ...answer, issuer })).rejects.toMatchObject({
        reason: "PROVIDER_PROVES_NOTHING",
      });
      expect(asked).toEqual([]);
      for (const own of ["", `${baseUrl}/login/oauth`]) {
        expect(await strategy.finish({ ...answer, issuer: own })).toMatchObject({ subject: "42" });
      }
    },
  );

  it("asks with state and PKCE, and sends the verifier with the code", async () => {
    const begun = await strategy.begin(request);
    const url = new URL(begun.endpoint ?? "");
    expect(url.origin + url.pathname).toBe(`${baseUrl}/login/oauth/authorize`);
    await strategy.finish({
      code: "c",
      stateOptions: {},
      flow: { id: "f", callbackUrl, secret: begun.secret },
    });
    const sent = Object.fromEntries(asked[0]?.form ?? []);
    expect(sent).toMatchObject({
      client_id: "client",
      client_secret: "secret",
      code: "c",
      redirect_uri: callbackUrl,
    });
    const challenge = createHash("sha256")
      .update(sent.code_verifier ?? "")
      .digest("base64url");
    expect(url.searchParams.get("code_challenge")).toBe(challenge);
    expect(asked.slice(1).map((one) => one.authorization)).toEqual(["Bearer gho_x", "Bearer gho_x"]);
  });

  it("proves the account's number and its primary verified address, not the public one", async () => {
    expect(await signIn()).toEqual({
      kind: "identity",
      issuer: baseUrl,
      subject: "42",
      email: "ann@example.org",
      emailVerified: true,
      isAuthoritative: false,
      title: "Ann",
      avatar: "https://a.example.org/42",
    });
  });

  it.each([
    ["a primary one that is not verified", [{ ...verified, verified: false }]],
    ["a verified one that is not primary", [{ ...verified, primary: false }]],
    ["none", []],
    ["no list", { message: "Requires authentication" }],
    ["one in other letters", [{ ...verified, email: "\u212Aate@example.org" }]],
    ["nonsense", [null, 1, { primary: true, verified: true }, { email: 1, primary: true, verified: true }]],
  ])("has no address to go by with %s", async (_name, emails) => {
    answers.emails = emails;
    const proof = await signIn();
    expect(proof).toMatchObject({ subject: "42", emailVerified: false });
    expect("email" in proof).toBe(false);
  });

  it.each<[string, () => unknown, string, object]>([
    [
      "a refused code",
      () => (answers.token = { error: "bad_verification_code" }),
      "INVALID_FLOW",
      { cause: "refused", at: "token_endpoint", error: "bad_verification_code" },
    ],
    [
      "a wrong secret",
      () => (answers.token = { error: "incorrect_client_credentials", error_description: "not 'secret'" }),
      "PROVIDER_REFUSED",
      { error: "incorrect_client_credentials", description: "not …" },
    ],
    [
      "an account without number",
      () => (answers.user = { login: "ann" }),
      "PROVIDER_PROVES_NOTHING",
      { cause: "answer", at: "userinfo_endpoint" },
    ],
    ["a number that is none", () => (answers.user = { id: 4.2 }), "PROVIDER_PROVES_NOTHING", {}],
    ["an answer of 401", () => (answers.status = 401), "PROVIDER_REFUSED", { status: "401" }],
  ])("refuses after %s, and keeps the cause to itself", async (_name, change, reason, findings) => {
    change();
    const failure = await signIn().catch((error) => error);
    expect(failure).toMatchObject({ reason, findings });
    expect(failure.message).not.toContain(failure.findings.error ?? "secret");
  });

  it("is unavailable while the site is down, and asks for the code if there is none", async () => {
    answers.status = 503;
    await expect(signIn()).rejects.toMatchObject({ reason: "UNAVAILABLE" });
    await expect(signIn("")).rejects.toMatchObject({ reason: "CODE_MISSING" });
  });

  it.each([
    ["429", 429, {}, "UNAVAILABLE"],
    ["403 with nothing left", 403, { "x-ratelimit-remaining": "0" }, "UNAVAILABLE"],
    ["403 for a while", 403, { "retry-after": "60" }, "UNAVAILABLE"],
    ["403 with some left", 403, { "x-ratelimit-remaining": "12" }, "PROVIDER_REFUSED"],
    ["404, as without the scope", 404, {}, "PROVIDER_REFUSED"],
  ])("answers with %s when asked for the account", async (_name, status, headers, reason) => {
    answers.api = { status, headers };
    await expect(signIn()).rejects.toMatchObject({ reason });
  });
});
