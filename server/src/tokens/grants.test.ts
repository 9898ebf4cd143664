import { describe, expect, it } from "vitest";
import { findCookies } from "../http/node-http.ts";
import { DomainError } from "../lib/errors.ts";
import type { Principal } from "../principals/principal.ts";
import { createTestJudge } from "../principals/test-support.ts";
import { createGrants, type GrantRequest, jwtBearerGrant } from "./grants.ts";
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

const other = "019a0000-0000-7000-8000-0000000000ff";
const person: Principal = {
  type: "user",
  id: "u1",
  email: "u1@example.org",
  emailProven: true,
  sessionId: "s1",
  superuser: false,
  authVia: "session",
  credentialKind: "session",
};

function basic(id: string, secret = "good"): string {
  return `Basic ${Buffer.from(`${id}:${secret}`).toString("base64")}`;
}

/** Grants over judges that know credentials named `good`, and what was asked of them. */
function arrange(options: { relaxed?: boolean; session?: boolean } = {}) {
  const asked: string[] = [];
  const audit = createMemoryAudit();
  const known = <P extends Principal>(kind: string, text: string, principal: P): P => {
    asked.push(`${kind} ${text}`);
    if (!text.startsWith("good")) throw new DomainError("NOT_AUTHENTICATED", { detail: `bad ${kind}` });
    return principal;
  };
  const judge = createTestJudge({
    basic: async (id, secret) => known("basic", secret, toServiceUser({ id })),
    opaqueToken: async (token) =>
      known("opaque", token, toServiceUser({ authVia: "opaque_token", credentialKind: "opaque_token" })),
    accessToken: async () => {
      throw new Error("not asked for");
    },
    ...(options.session && { session: async (cookie) => known("session", cookie, person) }),
    assertion: async (assertion, use, rules) =>
      known(
        `${use}${rules.relaxed ? " relaxed" : ""}`,
        assertion,
        toServiceUser({ authVia: use, credentialKind: "key_pair", credentialId: "k1" }),
      ),
  });
  const subjects: object[] = [];
  const issuer = createTokenIssuer({
    accessTokens: {
      issue: async (subject, { notAfterAt, fit } = {}) => {
        subjects.push({ ...subject, ...fit?.(4096), ...(notAfterAt && { notAfterAt }) });
        return { token: "t", jti: "j1", expiresInSeconds: 60 };
      },
      verify: async () => {
        throw new Error("not asked for");
      },
    },
    claims: { addUserEmail: true, addSessionId: true },
    organizations: createTestOrganizations([
      { id: "o1", name: "one", role: "owner" },
      { id: "o2", name: "two", role: "viewer" },
    ]),
    findVisibleProject: async (_principal, idOrName, inOrg = "o1") =>
      idOrName === "mine" && ["o1", orgId].includes(inOrg) ? "p1" : undefined,
    audit: audit.trail,
  });
  const grants = createGrants({
    guarded: createTestGuard(audit.trail)(judge),
    issuer,
    assertionRules: { relaxed: options.relaxed ?? false },
    findSessionCookies: (header) => findCookies(header, "sid"),
  });
  const info = newRequestInfo();
  async function exchange(message: Partial<GrantRequest>, header: Record<string, string> = {}) {
    const empty = { grantType: "", clientId: "", clientSecret: "", assertion: "", organization: "" };
    const request = { ...empty, ...message };
    return await grants.exchange({ ...request, header: new Headers(header) }, info).then(
      ({ principal }) => principal.authVia,
      (error) => (error instanceof DomainError ? error.reason : error),
    );
  }
  return { exchange, asked, subjects, info, ...audit };
}

const secret = { grantType: "client_credentials", clientId: serviceUserId, clientSecret: "good" };

describe("AuthToken's grants", () => {
  it.each<[string, Partial<GrantRequest>, Record<string, string>, string, string[]]>([
    ["the body", secret, {}, "client_credentials", ["basic good"]],
    [
      "the body, whatever the headers say",
      secret,
      { authorization: "Bearer bad", cookie: "sid=bad" },
      "client_credentials",
      ["basic good"],
    ],
    [
      "Basic",
      { grantType: "client_credentials" },
      { authorization: basic("x"), cookie: "sid=bad" },
      "client_credentials",
      ["basic good"],
    ],
    [
      "half a body, not Basic",
      { ...secret, clientSecret: "" },
      { authorization: basic("x") },
      "NOT_AUTHENTICATED",
      ["basic "],
    ],
    ["nothing", { grantType: "client_credentials" }, { cookie: "sid=good" }, "NOT_AUTHENTICATED", []],
    [
      "a bearer",
      { grantType: "client_credentials" },
      { authorization: "Bearer good" },
      "NOT_AUTHENTICATED",
      [],
    ],
    [
      "a broken header",
      { grantType: "client_credentials" },
      { authorization: "Basic !" },
      "NOT_AUTHENTICATED",
      [],
    ],
    [
      "an assertion in place of the secret",
      { grantType: "client_credentials", assertion: "good" },
      {},
      "private_key_jwt",
      ["private_key_jwt good"],
    ],
    [
      "an assertion of the client",
      { grantType: "client_credentials", clientId: serviceUserId.toUpperCase(), assertion: "good" },
      {},
      "private_key_jwt",
      ["private_key_jwt good"],
    ],
    ["an assertion beside a secret", { ...secret, assertion: "good" }, {}, "INVALID_REQUEST", []],
    [
      "an assertion of another client",
      { grantType: "client_credentials", clientId: other, assertion: "good" },
      {},
      "NOT_AUTHENTICATED",
      ["private_key_jwt good"],
    ],
  ])("client_credentials takes %s", async (_name, message, header, expected, asked) => {
    const arranged = arrange();
    expect(await arranged.exchange(message, header)).toBe(expected);
    expect(arranged.asked).toEqual(asked);
  });

  it.each<[string, Partial<GrantRequest>, Record<string, string>, string, string[]]>([
    ["assertion", { assertion: "good" }, {}, "jwt_bearer", ["jwt_bearer good"]],
    [
      "assertion before the header",
      { assertion: "good" },
      { authorization: "Bearer a.b.c" },
      "jwt_bearer",
      ["jwt_bearer good"],
    ],
    [
      "the header",
      {},
      { authorization: "bearer good.b.c", cookie: "sid=bad" },
      "jwt_bearer",
      ["jwt_bearer good.b.c"],
    ],
    ["no opaque token", {}, { authorization: "Bearer good" }, "NOT_AUTHENTICATED", []],
    ["no Basic", {}, { authorization: basic("x") }, "NOT_AUTHENTICATED", []],
    ["no secret", { clientId: serviceUserId, clientSecret: "good" }, {}, "NOT_AUTHENTICATED", []],
  ])("jwt-bearer takes %s", async (_name, message, header, expected, asked) => {
    const arranged = arrange();
    expect(await arranged.exchange({ grantType: jwtBearerGrant, ...message }, header)).toBe(expected);
    expect(arranged.asked).toEqual(asked);
  });

  it.each<[string, Record<string, string>, string, string[]]>([
    ["Basic", { authorization: basic("x") }, "client_credentials", ["basic good"]],
    ["an opaque token", { authorization: "Bearer good" }, "opaque_token", ["opaque good"]],
    ["a session", { cookie: "sid=good" }, "session", ["session good"]],
    [
      "a session, but not a bad one beside a good token",
      { authorization: "Bearer good", cookie: "sid=bad" },
      "NOT_AUTHENTICATED",
      ["opaque good", "session bad"],
    ],
    [
      "no two principals",
      { authorization: "Bearer good", cookie: "sid=good" },
      "NOT_AUTHENTICATED",
      ["opaque good", "session good"],
    ],
    ["no access token or assertion", { authorization: "Bearer good.b.c" }, "NOT_AUTHENTICATED", []],
    ["no user token", { "x-user-token": "good.b.c" }, "NOT_AUTHENTICATED", []],
    ["nothing else", {}, "NOT_AUTHENTICATED", []],
  ])("without a type, takes %s", async (_name, header, expected, asked) => {
    const arranged = arrange({ session: true });
    expect(await arranged.exchange({}, header)).toBe(expected);
    expect(arranged.asked).toEqual(asked);
  });

  it("without a type, leaves the body unread", async () => {
    const arranged = arrange();
    expect(
      await arranged.exchange({ clientId: serviceUserId, clientSecret: "good", assertion: "good" }),
    ).toBe("NOT_AUTHENTICATED");
    expect(arranged.asked).toEqual([]);
  });

  it.each(["password", "refresh_token", "CLIENT_CREDENTIALS", "jwt-bearer"])(
    "knows no %s",
    async (grantType) => {
      const arranged = arrange();
      expect(await arranged.exchange({ ...secret, grantType })).toBe("UNSUPPORTED_GRANT_TYPE");
      expect(arranged.asked).toEqual([]);
    },
  );

  it("reads assertions as configured", async () => {
    const arranged = arrange({ relaxed: true });
    await arranged.exchange({ grantType: jwtBearerGrant, assertion: "good" });
    expect(arranged.asked).toEqual(["jwt_bearer relaxed good"]);
  });
});

/** What a machine's token says of its organization. */
const ofAcme = {
  org_ids: orgId,
  organizations: { [orgId]: { name: "acme", roles: ["viewer"] } },
  org_id: orgId,
  roles: ["viewer"],
};

/** What a token says that is for an organization its principal is not in. */
const ofNone = { org_ids: "", organizations: {} };

describe("tokens by grant", () => {
  it("name the credential as client of a secret, the service user as client of a key pair", async () => {
    const { exchange, subjects } = arrange();
    await exchange(secret);
    await exchange({ grantType: jwtBearerGrant, assertion: "good" });
    expect(subjects).toEqual([
      {
        sub: serviceUserId,
        client_id: expect.stringMatching(/3$/),
        sub_type: "app/serviceuser",
        auth_via: "client_credentials",
        credential_id: expect.stringMatching(/3$/),
        ...ofAcme,
      },
      {
        sub: serviceUserId,
        client_id: serviceUserId,
        sub_type: "app/serviceuser",
        auth_via: "jwt_bearer",
        credential_id: "k1",
        ...ofAcme,
      },
    ]);
  });

  it("of people carry organizations, address and session", async () => {
    const { exchange, subjects } = arrange({ session: true });
    await exchange({}, { cookie: "sid=good" });
    expect(subjects).toEqual([
      {
        sub: "u1",
        client_id: "s1",
        sub_type: "app/user",
        auth_via: "session",
        credential_id: "s1",
        org_ids: "o1,o2",
        organizations: { o1: { name: "one", roles: ["owner"] }, o2: { name: "two", roles: ["viewer"] } },
        email: "u1@example.org",
        email_verified: true,
        sid: "s1",
        session_id: "s1",
      },
    ]);
  });

  it.each([
    ["mine", { project_id: "p1" }],
    ["theirs", {}],
    ["", {}],
    ["p".repeat(201), {}],
  ])("carry the project of X-Project where the principal may see it: %.10s", async (project, expected) => {
    const { exchange, subjects } = arrange();
    expect(await exchange(secret, { "x-project": project })).toBe("client_credentials");
    expect(subjects).toEqual([expect.objectContaining(expected)]);
    expect("project_id" in (subjects[0] ?? {})).toBe("project_id" in expected);
  });

  const ofOne = {
    org_ids: "o2",
    organizations: { o2: { name: "two", roles: ["viewer"] } },
    org_id: "o2",
    roles: ["viewer"],
  };

  it.each([
    ["two", ofOne],
    ["o2", ofOne],
    ["three", ofNone],
    ["", { org_ids: "o1,o2" }],
    ["o1,o2", ofNone],
    ["../o2", ofNone],
    ["o".repeat(201), ofNone],
  ])(
    "of people are for one organization that is asked for, if they are in it: %.10s",
    async (org, expected) => {
      for (const [message, header] of [
        [{ organization: org }, {}],
        [{}, { "x-organization": org }],
        [{ organization: org }, { "x-organization": org }],
      ] as const) {
        const { exchange, subjects } = arrange({ session: true });
        expect(await exchange(message, { cookie: "sid=good", ...header })).toBe("session");
        expect(subjects).toEqual([expect.objectContaining(expected)]);
        expect("org_id" in (subjects[0] ?? {}), org).toBe("org_id" in expected);
        expect("roles" in (subjects[0] ?? {}), org).toBe("roles" in expected);
      }
    },
  );

  it.each([
    ["acme", ofAcme],
    [orgId, ofAcme],
    [orgId.toUpperCase(), ofAcme],
    ["one", ofNone],
    ["019a0000-0000-7000-8000-0000000000ff", ofNone],
    ["a".repeat(201), ofNone],
  ])(
    "of machines are for their own organization, and for none with another: %.10s",
    async (org, expected) => {
      const { exchange, subjects } = arrange();
      await exchange({ ...secret, organization: org });
      expect(subjects).toEqual([expect.objectContaining(expected)]);
      expect("roles" in (subjects[0] ?? {})).toBe("roles" in expected);
    },
  );

  it.each([
    ["one", { project_id: "p1" }],
    ["two", {}],
    ["three", {}],
  ])("carry a project of the one organization, and of no other: %s", async (org, expected) => {
    const { exchange, subjects } = arrange({ session: true });
    await exchange({ organization: org }, { cookie: "sid=good", "x-project": "mine" });
    expect(subjects).toEqual([expect.objectContaining(expected)]);
    expect("project_id" in (subjects[0] ?? {})).toBe("project_id" in expected);
  });

  it("are refused where field and header name two organizations, before anything is judged", async () => {
    const { exchange, asked } = arrange({ session: true });
    const refused = await exchange({ organization: "one" }, { cookie: "sid=good", "x-organization": "two" });
    expect([refused, asked]).toEqual(["INVALID_REQUEST", []]);
  });

  it("are noted, refusals with their cause, and never a secret", async () => {
    const { exchange, events, refusals, info } = arrange();
    await exchange(secret);
    expect(events).toEqual([
      {
        action: "token.issue",
        target: "j1",
        orgId,
        details: { auth_via: "client_credentials", credential_id: expect.any(String) },
      },
    ]);
    expect(info.outcome).toEqual({
      principal: `serviceuser:${serviceUserId}`,
      credentialKind: "client_secret",
    });
    await exchange({ ...secret, clientSecret: "wrong" });
    await exchange({ ...secret, clientId: "a-secret-in-the-wrong-field", clientSecret: "wrong" });
    expect(refusals).toEqual([
      expect.objectContaining({ detail: "bad basic", credentialId: serviceUserId }),
      expect.not.objectContaining({ credentialId: expect.anything() }),
    ]);
    expect(JSON.stringify(refusals)).not.toMatch(/wrong|a-secret/);
  });

  it("are not asked for where nothing is presented, so nothing is recorded", async () => {
    const { exchange, refusals } = arrange();
    await exchange({});
    await exchange({ grantType: jwtBearerGrant });
    await exchange({ grantType: "client_credentials" });
    expect(refusals).toEqual([]);
    await exchange({}, { authorization: "Basic !" });
    expect(refusals).toMatchObject([{ credentialKind: "malformed" }]);
  });
});
