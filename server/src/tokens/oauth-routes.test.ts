import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import type { Tx } from "../db/database.ts";
import type { NodeRequest, NodeResponse } from "../http/node-http.ts";
import { DomainError } from "../lib/errors.ts";
import type { AccessTokenClaims } from "../principals/claims.ts";
import type { Principal, ServiceUserPrincipal } from "../principals/principal.ts";
import { createTestJudge } from "../principals/test-support.ts";
import { jwtBearerGrant } from "./grants.ts";
import { jwtAssertionType, toOauthRoute } from "./oauth-endpoint.ts";
import { createOauthRoutes } from "./oauth-routes.ts";
import {
  createMemoryAudit,
  createTestGuard,
  createTestOrganizations,
  newRequestInfo,
  orgId,
  serviceUserId,
  toServiceUser,
} from "./test-support.ts";
import { createTokenIssuer } from "./token-issuer.ts";

const stranger = toServiceUser({ id: "019a0000-0000-7000-8000-0000000000aa", orgId: "elsewhere" });
const colleague = toServiceUser({ id: "019a0000-0000-7000-8000-0000000000bb" });
const superuser = toServiceUser({ id: "019a0000-0000-7000-8000-0000000000cc", orgId: "x", superuser: true });
const person: Principal = {
  type: "user",
  id: "u1",
  email: "u1@example.org",
  emailProven: true,
  sessionId: "s1",
  superuser: false,
  authVia: "session",
  credentialKind: "access_token",
};
const callers: Record<string, Principal> = {
  self: toServiceUser(),
  stranger,
  colleague,
  superuser,
  person,
};

const claims: AccessTokenClaims = {
  iss: "https://id.example.org",
  sub: serviceUserId,
  aud: "https://id.example.org",
  client_id: "c",
  iat: 1,
  nbf: 1,
  exp: 2_000_000_000,
  jti: "j1",
  gen: "system",
  sub_type: "app/serviceuser",
  auth_via: "client_credentials",
  org_ids: orgId,
  organizations: { [orgId]: { name: "acme-before", roles: ["owner"] } },
  org_id: orgId,
  roles: ["owner"],
};

/** What there is to say of a machine's organization now. */
const ofAcme = {
  org_ids: orgId,
  organizations: { [orgId]: { name: "acme", roles: ["viewer"] } },
  org_id: orgId,
  roles: ["viewer"],
};

/** The little of Node's request that the routes touch. */
function requestOf(body: string, headers: Record<string, string> = {}): NodeRequest {
  const sent = {
    "content-type": "application/x-www-form-urlencoded",
    "transfer-encoding": "chunked",
    ...headers,
  };
  return Object.assign(Readable.from([Buffer.from(body)]), { headers: sent }) as unknown as NodeRequest;
}

/** The little of its answer. */
const toNode = (part: object) => part as unknown as NodeResponse;

/** Routes over judges by name: secret `good`, assertion `good`, tokens `<caller>.b.c` and `<caller>`. */
function arrange(said = claims) {
  const audit = createMemoryAudit();
  const revoked: string[] = [];
  const appended: string[] = [];
  const state = { down: false };
  const find = (name: string): Principal => {
    if (state.down) throw new DomainError("UNAVAILABLE");
    if (name === "disabled") throw new DomainError("PRINCIPAL_DISABLED", { detail: "disabled" });
    const found = callers[name];
    if (found === undefined) throw new DomainError("NOT_AUTHENTICATED", { detail: "unknown" });
    return found;
  };
  const judge = createTestJudge({
    basic: async (id, secret) => find(secret === "good" ? id : "nobody"),
    opaqueToken: async (token) => {
      const principal = find(token) as ServiceUserPrincipal;
      return { ...principal, credentialId: `opaque-${token}`, credentialExpiresAt: new Date(5_000_999) };
    },
    accessToken: async (token) => find(token.split(".")[0] ?? ""),
    claims: said,
    assertion: async (assertion, use, rules) => {
      expect(rules).toEqual({ relaxed: false });
      return { ...(find(assertion) as ServiceUserPrincipal), authVia: use };
    },
  });
  const projects: (string | undefined)[] = [];
  const organizations = createTestOrganizations([{ id: orgId, name: "acme", role: "manager" }]);
  const routes = createOauthRoutes({
    organizations,
    judge,
    guarded: createTestGuard(audit.trail)(judge),
    issuer: "https://id.example.org",
    publicUrl: "https://id.example.org",
    tokenIssuer: createTokenIssuer({
      accessTokens: {
        issue: async ({ sub, auth_via }) => ({ token: `${sub}/${auth_via}`, jti: "j", expiresInSeconds: 60 }),
        verify: async () => claims,
      },
      claims: { addUserEmail: true, addSessionId: true },
      organizations,
      findVisibleProject: async (_, project) => void projects.push(project),
      audit: audit.trail,
    }),
    isMember: async (_, id) => id === orgId,
    database: { transaction: async (work) => await work({} as Tx) },
    revocations: {
      revoke: async (_tx, { jti, expiresAt }) => void revoked.push(`${jti} ${expiresAt.getTime()}`),
    },
    feed: { append: async (_tx, ...changes) => void appended.push(...changes.map(({ topic }) => topic)) },
    deleteOpaqueToken: async (_tx, tokenId) => void revoked.push(tokenId),
    deletePersonalToken: async (_tx, tokenId) => void revoked.push(`personal ${tokenId}`),
    deleteSession: async () => true,
    audit: audit.trail,
    bodyBytes: 65_536,
  });

  async function post(
    path: string,
    fields: Record<string, string> | string,
    headers: Record<string, string> = {},
  ) {
    const route = routes.find((one) => one.path === path);
    if (route === undefined || !("raw" in route)) throw new Error("no such route");
    const answer = { statusCode: 0, headers: {} as Record<string, unknown>, body: "" };
    const response = {
      statusCode: 0,
      setHeader: (name: string, value: string | number) =>
        void Object.assign(answer.headers, { [name]: value }),
      end: (body: string, encoding: BufferEncoding) =>
        void Object.assign(answer, { body: Buffer.from(body, encoding).toString() }),
    };
    const body = typeof fields === "string" ? fields : new URLSearchParams(fields).toString();
    try {
      await route.raw(requestOf(body, headers), toNode(response), newRequestInfo());
      return { status: response.statusCode, body: answer.body, headers: answer.headers };
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      return { reason: error.reason, message: error.message, detail: error.detail };
    }
  }
  return { post, revoked, appended, state, projects, ...audit };
}

const token = "/oauth2/token";
const grant = { grant_type: "client_credentials" };
const asSelf = { client_id: "self", client_secret: "good" };
const basic = (id: string, secret: string) => ({
  authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString("base64")}`,
});

it("sends a text beyond ASCII whole", async () => {
  let sent = Buffer.alloc(0);
  const headers: Record<string, string | number> = {};
  const response = {
    statusCode: 0,
    setHeader: (name: string, value: string | number) => void Object.assign(headers, { [name]: value }),
    end: (body: string, encoding: BufferEncoding) => {
      sent = Buffer.from(body, encoding);
    },
  };
  const { raw } = toOauthRoute("/any", async () => '{"name":"Žofie"}', 0);
  await raw(requestOf(""), toNode(response), newRequestInfo());
  expect(JSON.parse(sent.toString())).toEqual({ name: "Žofie" });
  expect(headers["content-length"]).toBe(sent.length);
});

describe("POST /oauth2/token", () => {
  it("answers a token that nobody may keep", async () => {
    expect(await arrange().post(token, { ...grant, ...asSelf, scope: "anything" })).toEqual({
      status: 200,
      body: `{"access_token":"${serviceUserId}/client_credentials","token_type":"Bearer","expires_in":60}`,
      headers: {
        "cache-control": "no-store",
        pragma: "no-cache",
        "content-type": "application/json",
        "content-length": 112,
      },
    });
  });

  const assertion = { client_assertion_type: jwtAssertionType, client_assertion: "self" };
  it.each<[string, Record<string, string> | string, Record<string, string>, string]>([
    ["client_secret_basic", grant, basic("self", "good"), "client_credentials"],
    ["client_secret_basic, form-encoded", grant, basic("s%65lf", "goo%64"), "client_credentials"],
    [
      "client_secret_basic with the same client_id beside it",
      { ...grant, client_id: "self" },
      basic("self", "good"),
      "client_credentials",
    ],
    ["private_key_jwt", { ...grant, ...assertion }, {}, "private_key_jwt"],
    [
      "private_key_jwt with its client_id",
      { ...grant, ...assertion, client_id: serviceUserId },
      {},
      "private_key_jwt",
    ],
    ["jwt-bearer", { grant_type: jwtBearerGrant, assertion: "self" }, {}, "jwt_bearer"],
    [
      "jwt-bearer with its client_id",
      { grant_type: jwtBearerGrant, assertion: "self", client_id: serviceUserId },
      {},
      "jwt_bearer",
    ],
    [
      "jwt-bearer with client authentication",
      { grant_type: jwtBearerGrant, assertion: "self", ...asSelf },
      {},
      "jwt_bearer",
    ],
    ["a cookie beside it", { ...grant, ...asSelf }, { cookie: "sid=x" }, "client_credentials"],
  ])("takes %s", async (_, fields, headers, via) => {
    const answer = await arrange().post(token, fields, headers);
    expect(answer).toMatchObject({ status: 200, body: expect.stringContaining(`${serviceUserId}/${via}`) });
  });

  it.each<[string, Record<string, string> | string, Record<string, string>, string]>([
    ["no form", { ...grant, ...asSelf }, { "content-type": "application/json" }, "INVALID_REQUEST"],
    ["no content type", { ...grant, ...asSelf }, { "content-type": "" }, "INVALID_REQUEST"],
    [
      "a repeated field",
      "grant_type=client_credentials&client_id=self&client_id=self&client_secret=good",
      {},
      "INVALID_REQUEST",
    ],
    ["no grant type", asSelf, {}, "INVALID_REQUEST"],
    ["an empty grant type", { ...asSelf, grant_type: "" }, basic("self", "good"), "INVALID_REQUEST"],
    ["an unknown grant type", { ...asSelf, grant_type: "password" }, {}, "UNSUPPORTED_GRANT_TYPE"],
    ["Basic and a secret", { ...grant, ...asSelf }, basic("self", "good"), "INVALID_REQUEST"],
    ["Basic and an assertion", { ...grant, ...assertion }, basic("self", "good"), "INVALID_REQUEST"],
    ["a secret and an assertion", { ...grant, ...asSelf, ...assertion }, {}, "INVALID_REQUEST"],
    ["a secret and half an assertion", { ...grant, ...asSelf, client_assertion: "x" }, {}, "INVALID_REQUEST"],
    ["half an assertion", { ...grant, client_assertion: "self" }, {}, "INVALID_REQUEST"],
    ["a secret without id", { ...grant, client_secret: "good" }, {}, "INVALID_REQUEST"],
    [
      "Basic and another client_id",
      { ...grant, client_id: "other" },
      basic("self", "good"),
      "INVALID_REQUEST",
    ],
    [
      "another kind of assertion",
      { ...grant, ...assertion, client_assertion_type: "saml" },
      {},
      "NOT_AUTHENTICATED",
    ],
    ["a bad assertion", { ...grant, ...assertion, client_assertion: "bad" }, {}, "NOT_AUTHENTICATED"],
    ["another's assertion", { ...grant, ...assertion, client_id: "other" }, {}, "NOT_AUTHENTICATED"],
    ["a wrong secret", { ...grant, ...asSelf, client_secret: "wrong" }, {}, "NOT_AUTHENTICATED"],
    ["an unknown client", { ...grant, ...asSelf, client_id: "nobody" }, {}, "NOT_AUTHENTICATED"],
    ["a disabled client", { ...grant, ...asSelf, client_id: "disabled" }, {}, "PRINCIPAL_DISABLED"],
    ["no client", grant, {}, "NOT_AUTHENTICATED"],
    ["a client that only names itself", { ...grant, client_id: "self" }, {}, "NOT_AUTHENTICATED"],
    ["a cookie alone", grant, { cookie: "sid=x" }, "NOT_AUTHENTICATED"],
    ["an access token", grant, { authorization: "Bearer self.b.c" }, "NOT_AUTHENTICATED"],
    ["an opaque token as bearer", grant, { authorization: "Bearer self" }, "NOT_AUTHENTICATED"],
    ["an unreadable header", grant, { authorization: "Basic !" }, "NOT_AUTHENTICATED"],
    ["Basic that is not form-encoded", grant, basic("self", "100%"), "NOT_AUTHENTICATED"],
    [
      "jwt-bearer without assertion",
      { grant_type: jwtBearerGrant },
      { authorization: "Bearer self.b.c" },
      "INVALID_REQUEST",
    ],
    [
      "jwt-bearer with a bad assertion",
      { grant_type: jwtBearerGrant, assertion: "bad" },
      {},
      "INVALID_GRANT",
    ],
    [
      "jwt-bearer of a disabled principal",
      { grant_type: jwtBearerGrant, assertion: "disabled" },
      {},
      "INVALID_GRANT",
    ],
    [
      "jwt-bearer with another client_id",
      { grant_type: jwtBearerGrant, assertion: "self", client_id: "other" },
      {},
      "NOT_AUTHENTICATED",
    ],
    [
      "jwt-bearer with another client",
      { grant_type: jwtBearerGrant, assertion: "self", client_id: "colleague", client_secret: "good" },
      {},
      "NOT_AUTHENTICATED",
    ],
    [
      "jwt-bearer with a wrong secret",
      { grant_type: jwtBearerGrant, assertion: "self", ...asSelf, client_secret: "x" },
      {},
      "NOT_AUTHENTICATED",
    ],
  ])("refuses %s", async (_, fields, headers, reason) => {
    expect(await arrange().post(token, fields, headers)).toMatchObject({ reason });
  });

  it("says unavailable for what it cannot judge, of an assertion too", async () => {
    const { post, state } = arrange();
    state.down = true;
    expect(await post(token, { ...grant, ...asSelf })).toMatchObject({ reason: "UNAVAILABLE" });
    const byAssertion = { grant_type: jwtBearerGrant, assertion: "self" };
    expect(await post(token, byAssertion)).toMatchObject({ reason: "UNAVAILABLE" });
  });

  it("takes an organization as field or header, and refuses two that differ", async () => {
    const { post } = arrange();
    const asked = { ...grant, ...asSelf, organization: "acme" };
    expect(await post(token, asked)).toMatchObject({ status: 200 });
    expect(await post(token, asked, { "x-organization": "acme" })).toMatchObject({ status: 200 });
    expect(await post(token, asked, { "x-organization": "other" })).toMatchObject({
      reason: "INVALID_REQUEST",
      message: "organization and X-Organization name different organizations",
    });
  });

  it("passes the project on, and tells causes apart in the audit alone", async () => {
    const { post, projects, refusals } = arrange();
    await post(token, { ...grant, ...asSelf }, { "x-project": "mine" });
    expect(projects).toEqual(["mine"]);
    await post(token, { grant_type: jwtBearerGrant, assertion: "disabled" });
    expect(refusals).toMatchObject([
      {
        action: "credential.refuse",
        reason: "PRINCIPAL_DISABLED",
        detail: "disabled",
        credentialKind: "key_pair",
      },
    ]);
  });
});

describe("POST /oauth2/introspect", () => {
  const path = "/oauth2/introspect";
  const as = (id: string) => ({ client_id: id, client_secret: "good" });
  const isActive = async (caller: string, tokenText: string) => {
    const { body } = (await arrange().post(path, { ...as(caller), token: tokenText })) as { body: string };
    const answer = JSON.parse(body);
    if (!answer.active) expect(body).toBe('{"active":false}');
    return answer.active;
  };

  it.each([
    ["self", "self.b.c", true],
    ["colleague", "self.b.c", true],
    ["colleague", "self", true],
    ["colleague", "person.b.c", true],
    ["stranger", "self.b.c", false],
    ["stranger", "self", false],
    ["stranger", "person.b.c", false],
    ["self", "stranger.b.c", false],
    ["superuser", "stranger.b.c", true],
    ["superuser", "person.b.c", true],
    ["self", "nobody.b.c", false],
    ["self", "disabled.b.c", false],
    ["self", "garbage", false],
    ["self", "a.b.c.d", false],
    ["self", " ", false],
  ])("tells %s of %s: %s", async (caller, tokenText, expected) => {
    expect(await isActive(caller, tokenText)).toBe(expected);
  });

  it("answers the claims of an access token and the like of an opaque one", async () => {
    const { post } = arrange();
    const jwt = await post(path, { ...as("self"), token: "self.b.c", token_type_hint: "refresh_token" });
    expect(JSON.parse((jwt as { body: string }).body)).toEqual({
      active: true,
      token_type: "Bearer",
      ...claims,
      // The token was issued to an owner.
      ...ofAcme,
    });
    const opaque = await post(path, { ...as("self"), token: "self" });
    expect(JSON.parse((opaque as { body: string }).body)).toEqual({
      active: true,
      token_type: "Bearer",
      iss: "https://id.example.org",
      sub: serviceUserId,
      client_id: "opaque-self",
      exp: 5000,
      sub_type: "app/serviceuser",
      auth_via: "opaque_token",
      ...ofAcme,
    });
  });

  it("says what a person's roles are now, of those that their token was for", async () => {
    const now = { [orgId]: { name: "acme", roles: ["manager"] } } as const;
    const before = { [orgId]: { name: "acme", roles: ["viewer"] } } as const;
    const ask = async (said: Partial<AccessTokenClaims>) => {
      const { org_ids: _, organizations: __, org_id: ___, roles: ____, ...others } = claims;
      const { post } = arrange({ ...others, ...said });
      const { body } = (await post(path, { ...as("self"), token: "person.b.c" })) as { body: string };
      const { org_ids, org_ids_truncated, organizations, org_id, roles } = JSON.parse(body);
      return { org_ids, org_ids_truncated, organizations, org_id, roles };
    };
    expect(await ask({ org_ids: orgId, organizations: before })).toEqual({
      org_ids: orgId,
      organizations: now,
    });
    expect(await ask({ org_ids: "left", org_ids_truncated: true })).toEqual({
      org_ids: orgId,
      organizations: now,
    });
    const one = { org_ids: orgId, organizations: now, org_id: orgId, roles: ["manager"] } as const;
    expect(await ask({ ...one, organizations: before, roles: ["viewer"] })).toEqual(one);
    // One that they have left since; and one for an organization that they were never in.
    const none = { org_ids: "", organizations: {} };
    expect(await ask({ org_ids: "left", org_id: "left", roles: ["owner"] })).toEqual(none);
    expect(await ask(none)).toEqual(none);
  });

  it.each<[string, Record<string, string>, Record<string, string>, object]>([
    ["Basic", {}, basic("self", "good"), { status: 200 }],
    [
      "private_key_jwt",
      { client_assertion_type: jwtAssertionType, client_assertion: "self" },
      {},
      { status: 200 },
    ],
    ["a bearer access token", {}, { authorization: "Bearer self.b.c" }, { status: 200 }],
    ["no credential", {}, { cookie: "sid=x" }, { reason: "NOT_AUTHENTICATED" }],
    ["a bad access token", {}, { authorization: "Bearer nobody.b.c" }, { reason: "NOT_AUTHENTICATED" }],
    ["a person's access token", {}, { authorization: "Bearer person.b.c" }, { reason: "NOT_AUTHORIZED" }],
    ["two methods", as("self"), basic("self", "good"), { reason: "INVALID_REQUEST" }],
  ])("by %s", async (_, fields, headers, expected) => {
    expect(await arrange().post(path, { token: "self.b.c", ...fields }, headers)).toMatchObject(expected);
  });

  it("needs a token, and says unavailable for one it cannot judge", async () => {
    const { post, state, refusals } = arrange();
    expect(await post(path, as("self"))).toMatchObject({
      reason: "INVALID_REQUEST",
      message: "token is missing",
    });
    await post(path, { ...as("self"), token: "garbage" });
    expect(refusals).toEqual([]);
    state.down = true;
    expect(await post(path, { ...as("self"), token: "x" })).toMatchObject({ reason: "UNAVAILABLE" });
  });
});

describe("POST /oauth2/revoke", () => {
  const path = "/oauth2/revoke";
  it.each<[string, string, string[]]>([
    ["self", "self.b.c", ["j1 2000000000000"]],
    ["self", "self", ["opaque-self"]],
    ["colleague", "self.b.c", []],
    ["superuser", "self.b.c", []],
    ["colleague", "self", []],
    ["self", "nobody.b.c", []],
    ["self", "garbage", []],
  ])("%s revokes %s: %j", async (caller, tokenText, expected) => {
    const { post, revoked, appended, events } = arrange();
    const answer = await post(path, { client_id: caller, client_secret: "good", token: tokenText });
    expect(answer).toMatchObject({
      status: 200,
      body: "{}",
      headers: { "content-type": "application/json" },
    });
    expect(revoked).toEqual(expected);
    expect(events.map(({ action }) => action)).toEqual(expected.map(() => "token.revoke"));
    expect(appended).toEqual(expected[0]?.startsWith("opaque") ? ["credential"] : []);
  });

  it("takes the token itself as proof", async () => {
    const { post, revoked } = arrange();
    await post(path, { token: "person.b.c" }, { authorization: "Bearer person.b.c" });
    expect(revoked).toEqual(["j1 2000000000000"]);
  });

  it("needs a client and a token", async () => {
    const { post, revoked } = arrange();
    expect(await post(path, { token: "self.b.c" })).toMatchObject({ reason: "NOT_AUTHENTICATED" });
    expect(await post(path, asSelf)).toMatchObject({ reason: "INVALID_REQUEST" });
    expect(revoked).toEqual([]);
  });
});
