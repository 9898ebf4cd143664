import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { type LocalServer, startLocalServer } from "../../egress/test-support.ts";
import { createGithubType } from "./github.ts";
import type { LoggedIn, ProviderData, ProviderLogin } from "./provider-type.ts";
import {
  callbackUrl,
  createTestContext,
  expectLoggedIn,
  start,
  type TestContext,
  toProviderLogin,
} from "./test-support.ts";

let context: TestContext;
let site: LocalServer;
let login: ProviderLogin;
/** What the site answers, and what it was asked. */
let token: object;
let answers: Record<string, { status?: number; body: unknown; headers?: Record<string, string> }>;
let asked: { path: string; form: Record<string, string>; authorization: string | undefined }[];

const toOrganizations = (count: number, first = 0) =>
  Array.from({ length: count }, (_, index) => ({ login: `org-${first + index}` }));

beforeEach(async () => {
  context = createTestContext();
  login = toProviderLogin(createGithubType(context));
  token = { access_token: "gho_x", token_type: "bearer" };
  asked = [];
  answers = {
    "/user": { body: { id: 42, login: "ann", name: "Ann", email: "public@example.org" } },
    "/user/emails": { body: [{ email: "ann@example.org", primary: true, verified: true }] },
    "/user/orgs?per_page=100&page=1": { body: [{ login: "Acme" }, { login: "Other" }] },
  };
  site = await startLocalServer(async (request, response) => {
    const path = (request.url ?? "").replace(/^\/api\/v3/, "");
    const text = Buffer.concat(await request.toArray()).toString();
    const form = Object.fromEntries(new URLSearchParams(text));
    asked.push({ path, form, authorization: request.headers.authorization });
    const isToken = path === "/login/oauth/access_token";
    const {
      status = 200,
      body,
      headers = {},
    } = isToken ? { body: token } : (answers[path] ?? { status: 404 });
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify(body));
  });
  onTestFinished(() => site.close());
});

const toProvider = (data: ProviderData = {}) => ({
  id: "p",
  orgId: "o",
  data: { baseUrl: site.origin, clientId: "app", clientSecret: "hush", ...data },
});

const ofAcme = { allowedOrganizations: ["ACME"] };

async function signIn(data: ProviderData = {}, brought: { readonly issuer?: string } = {}) {
  const { secret } = await login.begin(toProvider(data), { callbackUrl, state: "s" });
  return await login.finish(toProvider(data), { code: "c", callbackUrl, secret, ...brought });
}

describe("a login by GitHub", () => {
  it.each([
    ["without organizations", {}, "read:user user:email"],
    ["with organizations", ofAcme, "read:user user:email read:org"],
  ])("asks for no more than it needs, %s", async (_name, data, scope) => {
    const request = { callbackUrl, state: "s", prompt: "again", loginHint: "ann" } as const;
    const { endpoint, secret } = await login.begin(toProvider(data), request);
    const url = new URL(endpoint);
    expect(url.origin + url.pathname).toBe(`${site.origin}/login/oauth/authorize`);
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      client_id: "app",
      redirect_uri: callbackUrl,
      scope,
      state: "s",
      prompt: "select_account",
      login: "ann",
      code_challenge_method: "S256",
    });
    expect(endpoint).not.toContain(String(secret.verifier));
  });

  it("ends with the account by its number, and asks again within the hour by its token", async () => {
    expect(await signIn()).toEqual({
      allowed: true,
      identity: {
        subject: "42",
        name: "Ann",
        email: "ann@example.org",
        emailVerified: true,
        organizations: [],
        groups: [],
        claims: {
          sub: "42",
          login: "ann",
          email: "ann@example.org",
          email_verified: true,
          organizations: [],
        },
        dependsOn: [],
      },
      renewAt: new Date(start.getTime() + 3_600_000),
      kept: { accessToken: "gho_x" },
    });
    expect(asked[0]?.form).toMatchObject({
      client_id: "app",
      client_secret: "hush",
      code: "c",
      redirect_uri: callbackUrl,
      code_verifier: expect.stringMatching(/^[\w-]{43}$/),
    });
  });

  it("lets members of a named organization in, whatever its letters, and names no other", async () => {
    const { identity } = expectLoggedIn(await signIn(ofAcme));
    expect(identity.organizations).toEqual(["acme"]);
    expect(login.admit(toProvider({ allowedOrganizations: ["other"] }), identity)).toMatchObject({
      allowed: true,
      identity: { organizations: ["other"] },
    });
    expect(login.admit(toProvider({ allowedOrganizations: ["none"] }), identity)).toMatchObject({
      allowed: false,
      reason: "not_permitted",
    });
  });

  it("reads every page of organizations, by number", async () => {
    const elsewhere = { link: '<https://evil.example/orgs?page=2>; rel="next"' };
    answers["/user/orgs?per_page=100&page=1"] = { body: toOrganizations(100), headers: elsewhere };
    answers["/user/orgs?per_page=100&page=2"] = { body: [...toOrganizations(3, 100), { login: "acme" }] };
    expectLoggedIn(await signIn(ofAcme));
  });

  it.each<[string, unknown, string]>([
    ["is in none", [], "not_permitted"],
    ["is in another", [{ login: "acme-2" }], "not_permitted"],
    ["is in one without a name", [{ id: 1 }, null, "acme"], "not_permitted"],
    ["is told no list", { login: "acme" }, "malformed"],
  ])("lets nobody in with a named organization who %s", async (_name, body, reason) => {
    answers["/user/orgs?per_page=100&page=1"] = { body };
    expect(await signIn(ofAcme)).toMatchObject({ allowed: false, reason });
  });

  it.each<[string, object, string]>([
    ["may not be seen", { status: 403 }, "unknown_credential"],
    [
      "may not be asked for so often",
      { status: 403, headers: { "x-ratelimit-remaining": "0" } },
      "unavailable",
    ],
    ["cannot be told", { status: 502 }, "unavailable"],
  ])("lets nobody in whose organizations %s", async (_name, answer, reason) => {
    answers["/user/orgs?per_page=100&page=1"] = { body: {}, ...answer };
    expect(await signIn(ofAcme)).toMatchObject({ allowed: false, reason });
  });

  it("stops at a list without end", async () => {
    for (let page = 1; page <= 12; page += 1) {
      answers[`/user/orgs?per_page=100&page=${page}`] = { body: toOrganizations(100, page * 100) };
    }
    expect(await signIn(ofAcme)).toMatchObject({ allowed: false, reason: "not_permitted" });
    expect(asked.filter(({ path }) => path.startsWith("/user/orgs"))).toHaveLength(10);
  });

  it.each<[string, object, string]>([
    ["the code is refused", { error: "bad_verification_code" }, "unknown_credential"],
    ["the client is not known", { error: "incorrect_client_credentials" }, "unavailable"],
    ["there is no token", {}, "malformed"],
  ])("is refused where %s, and nothing of it is repeated", async (_name, body, reason) => {
    token = { ...body, error_description: "the code c, the secret hush" };
    const outcome = await signIn();
    expect(outcome).toMatchObject({ allowed: false, reason });
    expect(JSON.stringify(outcome)).not.toContain("hush");
  });

  it("takes no answer that names another issuer, and asks nobody with its code (RFC 9207)", async () => {
    expect(await signIn({}, { issuer: "https://evil.example/login/oauth" })).toMatchObject({
      allowed: false,
      reason: "malformed",
    });
    expect(asked).toEqual([]);
    expectLoggedIn(await signIn({}, { issuer: `${site.origin}/login/oauth` }));
  });
});

describe("a login by GitHub is renewed", () => {
  const renew = async ({ kept = {}, identity }: LoggedIn, data: ProviderData = ofAcme) => {
    asked = [];
    return await login.renew(toProvider(data), { kept, identity });
  };

  it("by asking the API again, by the token it has", async () => {
    const before = expectLoggedIn(await signIn(ofAcme));
    answers["/user/emails"] = { body: [{ email: "ann@new.example", primary: true, verified: true }] };
    expect(expectLoggedIn(await renew(before))).toMatchObject({
      identity: { subject: "42", email: "ann@new.example", organizations: ["acme"] },
      kept: before.kept,
    });
    expect(asked.map(({ authorization }) => authorization)).toEqual(Array(3).fill("Bearer gho_x"));
  });

  it.each<[string, string, object, string]>([
    ["the token was revoked", "/user", { status: 401 }, "unknown_credential"],
    ["it is another's by now", "/user", { body: { id: 7, login: "eve" } }, "claim_mismatch"],
    ["its holder left", "/user/orgs?per_page=100&page=1", { body: [] }, "not_permitted"],
    ["the API is down", "/user", { status: 503 }, "unavailable"],
    ["the API answers nonsense", "/user", { body: "nonsense" }, "unavailable"],
  ])("not where %s", async (_name, path, answer, reason) => {
    const before = expectLoggedIn(await signIn(ofAcme));
    answers[path] = { body: {}, ...answer };
    expect(await renew(before)).toMatchObject({ allowed: false, reason });
  });

  describe("where tokens end", () => {
    const first = { access_token: "ghu_1", refresh_token: "ghr_1", expires_in: 28_800 };
    const second = { access_token: "ghu_2", refresh_token: "ghr_2", expires_in: 28_800 };

    it("by the token while it is good, then by the refresh token, once", async () => {
      token = first;
      const before = expectLoggedIn(await signIn(ofAcme));
      expect(before.kept).toEqual({
        accessToken: "ghu_1",
        refreshToken: "ghr_1",
        endsAt: start.getTime() + 28_800_000,
      });
      token = second;
      context.pass(28_700);
      expect(expectLoggedIn(await renew(before)).kept).toEqual(before.kept);
      context.pass(50);
      const after = expectLoggedIn(await renew(before));
      expect(after.kept).toMatchObject({ accessToken: "ghu_2", refreshToken: "ghr_2" });
      expect(asked[0]?.form).toEqual({
        client_id: "app",
        client_secret: "hush",
        grant_type: "refresh_token",
        refresh_token: "ghr_1",
      });
      expect(asked[1]?.authorization).toBe("Bearer ghu_2");
    });

    it("and keeps the new token though the API is down: asked again in a minute", async () => {
      token = first;
      const before = expectLoggedIn(await signIn(ofAcme));
      token = second;
      context.pass(28_790);
      answers["/user"] = { status: 503, body: {} };
      expect(expectLoggedIn(await renew(before))).toMatchObject({
        identity: before.identity,
        kept: { accessToken: "ghu_2", refreshToken: "ghr_2" },
        renewAt: new Date(start.getTime() + 28_850_000),
      });
    });

    it("not by a refresh token that is refused", async () => {
      token = first;
      const before = expectLoggedIn(await signIn(ofAcme));
      token = { error: "bad_refresh_token" };
      context.pass(28_790);
      expect(await renew(before)).toMatchObject({ allowed: false, reason: "unknown_credential" });
    });
  });

  it("not without anything to go by", async () => {
    const before = expectLoggedIn(await signIn());
    expect(await renew({ ...before, kept: {} })).toMatchObject({ reason: "unknown_credential" });
  });
});
