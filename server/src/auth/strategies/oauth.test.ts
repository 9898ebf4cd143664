/** Plain OAuth 2 by three URLs and a map: what a site may answer, and what of it counts. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createEgress } from "../../egress/egress.ts";
import { silentLog } from "../../lib/log.ts";
import { createOAuthStrategy, type OAuthStrategyOptions } from "./oauth.ts";

const callbackUrl = "http://127.0.0.1:9/callback";

let site: Server;
let origin: string;
let answers: { token: object; tokenStatus: number; person: unknown; status: number };
let asked: { authorization: string | undefined; form: URLSearchParams }[];

async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  let text = "";
  for await (const chunk of request) text += chunk;
  return new URLSearchParams(text);
}

beforeAll(async () => {
  site = createServer(async (request, response) => {
    asked.push({ authorization: request.headers.authorization, form: await readForm(request) });
    const isToken = request.url === "/token";
    response.writeHead(isToken ? answers.tokenStatus : answers.status, {
      "content-type": "application/json",
    });
    response.end(JSON.stringify(isToken ? answers.token : answers.person));
  });
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
});
afterAll(() => site.close());
beforeEach(() => {
  asked = [];
  answers = {
    token: { access_token: "at", token_type: "bearer" },
    tokenStatus: 200,
    person: { data: { id: 7, mail: "Ann@Example.org", checked: true, nick: "ann" }, name: null },
    status: 200,
  };
});

const begin = (changes: Partial<OAuthStrategyOptions> = {}) => {
  const strategy = createOAuthStrategy({
    name: "acme",
    issuerUrl: "https://acme.example",
    authorizationUrl: `${origin}/authorize?tenant=t`,
    tokenUrl: `${origin}/token`,
    userinfoUrl: `${origin}/me`,
    claims: {
      subject: ["data.id"],
      email: ["data.mail"],
      emailVerified: ["data.checked"],
      name: ["name", "data.nick"],
    },
    usesPkce: true,
    clientId: "client",
    clientAuthentication: { method: "client_secret_basic", secret: "s:cret&" },
    scopes: ["who", "mail"],
    flowSeconds: 600,
    callbackUrl,
    authoritativeDomains: [],
    egress: createEgress({ allowCidrs: [], allowedOrigins: [origin], log: silentLog }),
    ...changes,
  });
  return strategy.begin({ callbackUrl, state: "the-state" }).then(({ endpoint = "", secret }) => ({
    url: new URL(endpoint),
    finish: (issuer = "") =>
      strategy.finish({ code: "c", stateOptions: {}, issuer, flow: { id: "f", callbackUrl, secret } }),
  }));
};
const signIn = async (changes: Partial<OAuthStrategyOptions> = {}) => (await begin(changes)).finish();

describe("a site of plain OAuth 2", () => {
  it("is asked for a code, and told by the map who somebody is, a number as text", async () => {
    const { url, finish } = await begin();
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      tenant: "t",
      response_type: "code",
      client_id: "client",
      redirect_uri: callbackUrl,
      scope: "who mail",
      state: "the-state",
      code_challenge_method: "S256",
    });
    expect(await finish()).toEqual({
      kind: "identity",
      issuer: "https://acme.example",
      subject: "7",
      email: "ann@example.org",
      emailVerified: true,
      isAuthoritative: false,
      title: "ann",
    });
    const [token, person] = asked;
    expect(token?.authorization).toBe(`Basic ${Buffer.from("client:s%3Acret%26").toString("base64")}`);
    expect(token?.form.get("grant_type")).toBe("authorization_code");
    expect(token?.form.has("client_secret")).toBe(false);
    expect(person?.authorization).toBe("Bearer at");
  });

  it("is asked without PKCE, and with the secret in the form or none", async () => {
    const { url } = await begin({ usesPkce: false });
    expect(url.searchParams.has("code_challenge")).toBe(false);
    await signIn({ usesPkce: false, clientAuthentication: { method: "client_secret_post", secret: "s" } });
    await signIn({ clientAuthentication: { method: "none" } });
    const [posted, , open] = asked;
    expect(posted).toMatchObject({ authorization: undefined });
    expect([posted?.form.get("client_secret"), posted?.form.has("code_verifier")]).toEqual(["s", false]);
    expect([open?.form.get("client_id"), open?.form.has("client_secret")]).toEqual(["client", false]);
  });

  it.each<[string, unknown, string]>([
    ["text", "ann", "ann"],
    ["zero", 0, "0"],
    ["the largest whole number", Number.MAX_SAFE_INTEGER, "9007199254740991"],
  ])("names somebody by %s", async (_name, id, subject) => {
    answers.person = { data: { id } };
    expect(await signIn()).toMatchObject({ subject });
  });

  it.each<[string, unknown]>([
    ["nothing", undefined],
    ["null", null],
    ["an empty text", ""],
    ["a text that no database keeps", "a\u0000"],
    ["a text that is too long", "x".repeat(256)],
    ["a number that may be several", 2 ** 53],
    ["a fraction", 1.5],
    ["a list", [1]],
  ])("signs nobody in who is named by %s", async (_name, id) => {
    answers.person = { data: { id } };
    await expect(signIn()).rejects.toMatchObject({
      reason: "PROVIDER_PROVES_NOTHING",
      findings: { cause: "answer", at: "userinfo_endpoint" },
    });
  });

  it.each<[string, object, Partial<OAuthStrategyOptions["claims"]>, boolean]>([
    ["says so in quotes", { checked: "true" }, {}, true],
    ["says no", { checked: false }, {}, false],
    ["says something else", { checked: 1 }, {}, false],
    ["says nothing", { checked: null }, {}, false],
    ["is said to say it always", { checked: undefined }, { emailVerified: "always" }, true],
    ["is not asked", {}, { emailVerified: undefined }, false],
  ])("tells an address that is verified only where it %s", async (_name, change, claims, emailVerified) => {
    answers.person = { data: { id: 7, mail: "ann@example.org", checked: true, ...change } };
    const map = { subject: ["data.id"], email: ["data.mail"], emailVerified: ["data.checked"], ...claims };
    expect(await signIn({ claims: map })).toMatchObject({ email: "ann@example.org", emailVerified });
  });

  it("is read by members of its own alone", async () => {
    answers.person = { data: { id: 7 } };
    await expect(signIn({ claims: { subject: ["constructor.name"] } })).rejects.toMatchObject({
      reason: "PROVIDER_PROVES_NOTHING",
    });
  });

  it.each<[string, () => unknown, string, object]>([
    [
      "an error in an object",
      () => {
        answers.tokenStatus = 400;
        answers.token = {
          error: { message: "Error validating client secret.", type: "OAuthException", code: 1 },
        };
      },
      "PROVIDER_REFUSED",
      { error: "OAuthException", description: "Error validating client secret.", status: "400" },
    ],
    [
      "an error with status 200",
      () => (answers.token = { ok: false, error: "invalid_client_id" }),
      "PROVIDER_REFUSED",
      { error: "invalid_client_id" },
    ],
    ["no token", () => (answers.token = {}), "PROVIDER_PROVES_NOTHING", { at: "token_endpoint" }],
    ["a list", () => (answers.person = []), "PROVIDER_PROVES_NOTHING", { at: "userinfo_endpoint" }],
    ["401 for the token", () => (answers.status = 401), "PROVIDER_REFUSED", { status: "401" }],
    ["that it fails", () => (answers.status = 500), "UNAVAILABLE", { status: "500" }],
  ])("signs nobody in by %s", async (_name, change, reason, findings) => {
    change();
    await expect(signIn()).rejects.toMatchObject({ reason, findings });
  });

  it("takes no answer that names another (RFC 9207), and asks nobody with its code", async () => {
    const { finish } = await begin();
    await expect(finish("https://evil.example")).rejects.toMatchObject({ reason: "PROVIDER_PROVES_NOTHING" });
    expect(asked).toEqual([]);
    expect(await finish(origin)).toMatchObject({ subject: "7" });
  });
});
