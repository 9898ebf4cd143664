import { generateKeyPairSync, type KeyObject, randomUUID, type webcrypto } from "node:crypto";
import { fromBinary } from "@bufbuild/protobuf";
import { ErrorInfoSchema } from "@vestibule/proto/google/rpc/error_details_pb";
import { createRemoteJWKSet, exportJWK, jwtVerify, SignJWT } from "jose";
import * as oauth from "openid-client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "./parts/eventually.ts";
import { Person } from "./parts/person.ts";
import { startServer, type TestServer } from "./parts/server.ts";
import { within } from "./parts/within.ts";

const jwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const day = 24 * 3600;
const exponent = new Uint8Array([1, 0, 1]);

/** A service user with one credential of every kind, and the means to use them. */
interface Machine {
  readonly id: string;
  readonly secretId: string;
  readonly secret: string;
  readonly opaqueToken: string;
  readonly kid: string;
  readonly privateKey: KeyObject;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

async function toAnswer(response: Response): Promise<Answer> {
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === "" ? {} : JSON.parse(text) };
}

function basic(id: string, secret: string): { authorization: string } {
  return { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString("base64")}` };
}

async function rpc(
  server: TestServer,
  method: string,
  message: object,
  headers: object = {},
): Promise<Answer> {
  const response = await fetch(`${server.url}/vestibule.v1.${method}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(message),
  });
  return await toAnswer(response);
}

function asSuperuser(server: TestServer) {
  return basic(server.clientId, server.clientSecret);
}

async function post(
  server: TestServer,
  path: string,
  fields: Record<string, string> | string,
  headers: object = {},
): Promise<Answer> {
  const body = typeof fields === "string" ? fields : new URLSearchParams(fields).toString();
  const type = "application/x-www-form-urlencoded";
  const init = { method: "POST", headers: { "content-type": type, ...headers }, body };
  return await toAnswer(await fetch(server.url + path, init));
}

async function createMachine(server: TestServer, org = "default"): Promise<Machine> {
  const call = async (method: string, message: object) => {
    const { status, body } = await rpc(server, `ServiceUserService/${method}`, message, asSuperuser(server));
    expect(body).not.toHaveProperty("code");
    expect(status).toBe(200);
    return body as Record<string, Record<string, string>>;
  };
  const { serviceuser } = await call("CreateServiceUser", { orgId: org, body: { title: "machine" } });
  const id = serviceuser?.id ?? "";
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const ref = { id, orgId: org, title: "t" };
  const { secret } = await call("CreateServiceUserCredential", ref);
  const { token } = await call("CreateServiceUserToken", ref);
  const { key } = await call("CreateServiceUserJWK", { ...ref, publicJwk: await exportJWK(publicKey) });
  return {
    id,
    secretId: secret?.id ?? "",
    secret: secret?.secret ?? "",
    opaqueToken: token?.token ?? "",
    kid: key?.kid ?? "",
    privateKey,
  };
}

/** The issuer the server was started with. */
function issuerOf(server: TestServer): string {
  return `http://localhost:${server.port}`;
}

async function assertionOf(
  server: TestServer,
  machine: Machine,
  claims: Record<string, unknown> = {},
): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const all = {
    iss: machine.id,
    sub: machine.id,
    aud: issuerOf(server),
    exp: now + 60,
    jti: randomUUID(),
    ...claims,
  };
  return await new SignJWT(all)
    .setProtectedHeader({ alg: "ES256", kid: machine.kid })
    .sign(machine.privateKey);
}

async function tokenOf(server: TestServer, machine: Machine, headers: object = {}): Promise<string> {
  const fields = {
    grant_type: "client_credentials",
    client_id: machine.secretId,
    client_secret: machine.secret,
  };
  const { body } = await post(server, "/oauth2/token", fields, headers);
  return String(body.access_token);
}

describe.each(["sqlite", "postgres"] as const)("the OAuth routes, %s", (database) => {
  let server: TestServer;
  let machine: Machine;
  beforeAll(async () => {
    server = await startServer({ database, config: { limits: { organizations_per_person: 200 } } });
    machine = await createMachine(server);
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it("are discovered by openid-client, used with every client authentication, and their tokens verified", async () => {
    const pkcs8 = machine.privateKey.export({ type: "pkcs8", format: "der" });
    const key = await crypto.subtle.importKey("pkcs8", pkcs8, { name: "ECDSA", namedCurve: "P-256" }, false, [
      "sign",
    ]);
    const ways: [string, string, oauth.ClientAuth][] = [
      ["client_credentials", machine.secretId, oauth.ClientSecretBasic(machine.secret)],
      ["client_credentials", machine.secretId, oauth.ClientSecretPost(machine.secret)],
      ["private_key_jwt", machine.id, oauth.PrivateKeyJwt({ key, kid: machine.kid })],
    ];
    for (const [authVia, clientId, authentication] of ways) {
      const config = await oauth.discovery(new URL(issuerOf(server)), clientId, undefined, authentication, {
        algorithm: "oauth2",
        execute: [oauth.allowInsecureRequests],
      });
      const { access_token, token_type, expires_in } = await oauth.clientCredentialsGrant(config);
      expect({ token_type, expires_in }).toEqual({ token_type: "bearer", expires_in: 3600 });

      const { issuer, jwks_uri } = config.serverMetadata();
      const { payload } = await jwtVerify(access_token, createRemoteJWKSet(new URL(jwks_uri ?? "")), {
        issuer,
        audience: issuer,
        typ: "at+jwt",
      });
      expect(payload).toMatchObject({ sub: machine.id, auth_via: authVia, client_id: clientId });

      const seen = await oauth.tokenIntrospection(config, access_token);
      expect(seen).toMatchObject({ active: true, sub: machine.id, jti: payload.jti });
      await oauth.tokenRevocation(config, access_token);
      expect(await oauth.tokenIntrospection(config, access_token)).toEqual({ active: false });
      const used = await rpc(
        server,
        "AuthService/GetCurrentUser",
        {},
        { authorization: `Bearer ${access_token}` },
      );
      expect(used).toMatchObject({
        status: 401,
        body: { code: "unauthenticated", message: "not authenticated" },
      });
    }
    const asserted = await oauth.discovery(new URL(issuerOf(server)), machine.id, undefined, oauth.None(), {
      algorithm: "oauth2",
      execute: [oauth.allowInsecureRequests],
    });
    const assertion = await assertionOf(server, machine);
    const { access_token } = await oauth.genericGrantRequest(asserted, jwtBearer, { assertion });
    expect(access_token).toMatch(/^ey/);
    await expect(oauth.genericGrantRequest(asserted, jwtBearer, { assertion })).rejects.toMatchObject({
      error: "invalid_grant",
    });
  });

  it.each([
    ["RS256", { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", modulusLength: 2048, publicExponent: exponent }],
    ["ES256", { name: "ECDSA", namedCurve: "P-256" }],
    ["Ed25519", { name: "Ed25519" }],
  ])(
    "take assertions that openid-client signs by %s, with the key as another library exports it",
    async (alg, made) => {
      const pair = (await crypto.subtle.generateKey(made, true, [
        "sign",
        "verify",
      ])) as webcrypto.CryptoKeyPair;
      const public_jwk = { ...(await exportJWK(pair.publicKey)), alg };
      const message = { id: machine.id, orgId: "default", title: alg, public_jwk };
      const { body } = await rpc(
        server,
        "ServiceUserService/CreateServiceUserJWK",
        message,
        asSuperuser(server),
      );
      const { kid } = body.key as { kid: string };
      const config = await oauth.discovery(
        new URL(issuerOf(server)),
        machine.id,
        undefined,
        oauth.PrivateKeyJwt({ key: pair.privateKey, kid }),
        { algorithm: "oauth2", execute: [oauth.allowInsecureRequests] },
      );
      expect(config.serverMetadata().token_endpoint_auth_signing_alg_values_supported).toContain(alg);
      const { access_token } = await oauth.clientCredentialsGrant(config);
      expect(await oauth.tokenIntrospection(config, access_token)).toMatchObject({ active: true });
    },
  );

  it("describe themselves truthfully", async () => {
    const { status, headers, body } = await toAnswer(
      await fetch(`${server.url}/.well-known/oauth-authorization-server`),
    );
    const issuer = issuerOf(server);
    expect(status).toBe(200);
    expect(headers.get("cache-control")).toBe("public, max-age=300");
    expect(body).toMatchObject({
      issuer,
      token_endpoint: `${issuer}/oauth2/token`,
      introspection_endpoint: `${issuer}/oauth2/introspect`,
      revocation_endpoint: `${issuer}/oauth2/revoke`,
      jwks_uri: `${issuer}/.well-known/jwks.json`,
      response_types_supported: [],
      grant_types_supported: ["client_credentials", jwtBearer],
      token_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post", "private_key_jwt"],
      introspection_endpoint_auth_methods_supported: [
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
        "Bearer",
      ],
      revocation_endpoint_auth_methods_supported: [
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
      ],
    });
    expect((await fetch(`${server.url}/.well-known/openid-configuration`)).status).toBe(404);
  });

  it("refuse as RFC 6749 says, and nobody keeps the answer", async () => {
    const good = {
      grant_type: "client_credentials",
      client_id: machine.secretId,
      client_secret: machine.secret,
    };
    const cases: [Record<string, string> | string, object, number, string][] = [
      [{ ...good, client_secret: "wrong" }, {}, 401, "invalid_client"],
      [{ ...good, client_id: randomUUID() }, {}, 401, "invalid_client"],
      [{ ...good }, basic(machine.secretId, machine.secret), 400, "invalid_request"],
      [`${new URLSearchParams(good)}&grant_type=client_credentials`, {}, 400, "invalid_request"],
      [{ ...good, grant_type: "password" }, {}, 400, "unsupported_grant_type"],
      [JSON.stringify(good), { "content-type": "application/json" }, 400, "invalid_request"],
      [{ ...good, padding: "x".repeat(1024 * 1024) }, {}, 413, "invalid_request"],
      [{ grant_type: jwtBearer, assertion: "bad" }, {}, 400, "invalid_grant"],
      [{ grant_type: "client_credentials" }, {}, 401, "invalid_client"],
    ];
    for (const [fields, headers, status, error] of cases) {
      const answer = await post(server, "/oauth2/token", fields, headers);
      expect({ status: answer.status, error: answer.body.error }).toEqual({ status, error });
      expect(answer.headers.get("cache-control")).toBe("no-store");
      expect(answer.headers.get("content-type")).toBe("application/json");
      expect(answer.headers.get("www-authenticate") !== null).toBe(status === 401);
      expect(answer.headers.get("x-request-id")).not.toBeNull();
    }
    const wrongMethod = await fetch(`${server.url}/oauth2/token`);
    expect({ status: wrongMethod.status, allow: wrongMethod.headers.get("allow") }).toEqual({
      status: 405,
      allow: "POST",
    });
  });

  it.each(["GET", "HEAD", "OPTIONS", "PUT"])("take no %s, and say so in their own words", async (method) => {
    for (const path of ["/oauth2/token", "/oauth2/introspect", "/oauth2/revoke"]) {
      const answer = await fetch(server.url + path, { method });
      expect(answer.status).toBe(405);
      expect(answer.headers.get("allow")).toBe("POST");
      expect(answer.headers.get("cache-control")).toBe("no-store");
      const body = { error: "invalid_request", error_description: "method not allowed" };
      expect(await answer.text()).toBe(method === "HEAD" ? "" : JSON.stringify(body));
    }
  });

  it("let every page read their keys and metadata, and those that may call them with credentials too", async () => {
    const origin = "https://app.example.com";
    await using open = await startServer({ config: { cors: { allowed_origins: [origin] } } });
    for (const path of ["/.well-known/jwks.json", "/.well-known/oauth-authorization-server"]) {
      const allowed = await fetch(open.url + path, { headers: { origin } });
      expect(allowed.headers.get("access-control-allow-origin")).toBe(origin);
      expect(allowed.headers.get("access-control-allow-credentials")).toBe("true");
      const foreign = await fetch(open.url + path, { headers: { origin: "https://evil.example" } });
      expect(foreign.headers.get("access-control-allow-origin")).toBe("*");
      expect(foreign.headers.get("access-control-allow-credentials")).toBeNull();
      expect((await fetch(open.url + path)).headers.get("access-control-allow-origin")).toBe("*");
      expect(foreign.headers.get("vary")).toBe("Origin");
    }
  });

  it("read no cookie, and let no page call them with its visitor's credentials", async () => {
    const origin = "https://app.example.com";
    await using open = await startServer({ config: { cors: { allowed_origins: [origin] } } });
    const preflight = { origin, "access-control-request-method": "POST" };
    for (const [path, credentials] of [
      ["/oauth2/token", null],
      ["/oauth2/introspect", null],
      ["/vestibule.v1.AuthService/AuthToken", "true"],
    ] as const) {
      for (const method of ["OPTIONS", "POST"]) {
        const headers = method === "OPTIONS" ? preflight : { origin };
        const answer = await fetch(open.url + path, { method, headers });
        expect(answer.headers.get("access-control-allow-origin")).toBe(origin);
        expect(answer.headers.get("access-control-allow-credentials")).toBe(credentials);
      }
    }
    const fields = { grant_type: "client_credentials" };
    expect(await post(open, "/oauth2/token", fields, { cookie: "sid=x" })).toMatchObject({
      status: 401,
      body: { error: "invalid_client" },
    });
  });

  it("take scope and an opaque token in the secret's place", async () => {
    const fields = { grant_type: "client_credentials", scope: "anything", client_id: machine.id };
    const answer = await post(server, "/oauth2/token", { ...fields, client_secret: machine.opaqueToken });
    expect(answer).toMatchObject({ status: 200, body: { token_type: "Bearer", expires_in: 3600 } });
    expect(answer.headers.get("cache-control")).toBe("no-store");
  });

  it("judge assertions at their limits", async () => {
    const now = Math.floor(Date.now() / 1000);
    const ask = async (claims: Record<string, unknown>) => {
      const assertion = await assertionOf(server, machine, claims);
      const { status, body } = await post(server, "/oauth2/token", { grant_type: jwtBearer, assertion });
      return status === 200 ? "ok" : `${status} ${body.error}`;
    };
    const refused = "400 invalid_grant";
    expect(await ask({ exp: now + day - 5 })).toBe("ok");
    expect(await ask({ exp: now + day + 60 })).toBe(refused);
    expect(await ask({ exp: undefined })).toBe(refused);
    expect(await ask({ aud: `${issuerOf(server)}/oauth2/token` })).toBe("ok");
    expect(await ask({ aud: [issuerOf(server), "https://other.example"] })).toBe(refused);
    expect(await ask({ aud: undefined })).toBe(refused);
    expect(await ask({ aud: "https://other.example" })).toBe(refused);
    expect(await ask({ iss: "somebody" })).toBe(refused);
    expect(await ask({ jti: undefined })).toBe(refused);
  });

  it("tell the maker of an assertion when their clock is wrong", async () => {
    const exp = Math.floor(Date.now() / 1000) - 3600;
    const ended = new Date(exp * 1000).toISOString().replace(".000Z", "Z");
    const assertion = await assertionOf(server, machine, { exp });
    const { body } = await post(server, "/oauth2/token", { grant_type: jwtBearer, assertion });
    expect(body).toEqual({
      error: "invalid_grant",
      error_description: expect.stringMatching(
        `^not authenticated: assertion expires at ${ended}, this server's clock says \\d{4}-[\\d-]+T[\\d:]+Z$`,
      ),
    });
    const refused = await rpc(server, "AuthService/AuthToken", { grantType: jwtBearer, assertion });
    expect(refused.body).toMatchObject({ code: "unauthenticated", message: "not authenticated" });
    const [{ value }] = refused.body.details as [{ value: string }];
    const { metadata } = fromBinary(ErrorInfoSchema, Buffer.from(value, "base64"));
    expect(metadata).toEqual({ assertion_expires_at: ended, server_time: expect.any(String) });
  });

  it("accept an assertion nowhere else", async () => {
    const bearer = { authorization: `Bearer ${await assertionOf(server, machine)}` };
    expect((await rpc(server, "AuthService/GetCurrentUser", {}, bearer)).status).toBe(401);
    expect((await post(server, "/oauth2/introspect", { token: "x" }, bearer)).status).toBe(401);
    const granted = await rpc(server, "AuthService/AuthToken", { grantType: jwtBearer }, bearer);
    expect(granted).toMatchObject({ status: 200, body: { tokenType: "Bearer" } });
    expect(await rpc(server, "AuthService/AuthToken", { grantType: jwtBearer }, bearer)).toMatchObject({
      status: 401,
      body: { message: "not authenticated" },
    });
  });

  it("tell nothing of a token to another organization, and revoke nothing for others", async () => {
    const name = `org-${randomUUID().slice(0, 8)}`;
    const created = await rpc(
      server,
      "OrganizationService/CreateOrganization",
      { body: { name, title: name } },
      asSuperuser(server),
    );
    expect(created.body).not.toHaveProperty("code");
    const stranger = await createMachine(server, name);
    const token = await tokenOf(server, machine);
    const ask = async (path: string, who: Machine, text: string) =>
      await post(server, path, { token: text }, basic(who.secretId, who.secret));
    for (const text of [token, machine.opaqueToken]) {
      expect((await ask("/oauth2/introspect", machine, text)).body).toMatchObject({
        active: true,
        sub: machine.id,
      });
      expect((await ask("/oauth2/introspect", stranger, text)).body).toEqual({ active: false });
      expect(await ask("/oauth2/revoke", stranger, text)).toMatchObject({ status: 200, body: {} });
      expect((await ask("/oauth2/introspect", machine, text)).body).toMatchObject({ active: true });
      const seen = await post(server, "/oauth2/introspect", { token: text }, asSuperuser(server));
      expect(seen.body).toMatchObject({ active: true });
    }
    const own = await createMachine(server);
    expect((await ask("/oauth2/revoke", own, own.opaqueToken)).status).toBe(200);
    const used = await rpc(
      server,
      "AuthService/GetCurrentUser",
      {},
      { authorization: `Bearer ${own.opaqueToken}` },
    );
    expect(used.status).toBe(401);
  });

  it("tell of a person's token in each of their organizations, however many they have", async () => {
    const person = new Person(server);
    await person.signIn(`ada-${randomUUID()}@example.org`);
    const { accessToken } = (await person.call("AuthToken")).json;
    const prefix = `many-${randomUUID().slice(0, 8)}`;
    const names = Array.from({ length: 101 }, (_, index) => `${prefix}-${index}`);
    for (const name of names) {
      const path = "/vestibule.v1.OrganizationService/CreateOrganization";
      const headers = { ...person.headers(), "content-type": "application/json" };
      await person.send(path, { headers, body: JSON.stringify({ body: { name } }) });
    }
    for (const [name, active] of [
      [names.at(-1), true],
      [names[0], true],
      ["default", false],
    ] as const) {
      const { secretId, secret } = await createMachine(server, name);
      const fields = { token: accessToken };
      const answer = await post(server, "/oauth2/introspect", fields, basic(secretId, secret));
      expect(answer.body, name).toMatchObject({ active });
    }
  });

  it("put the project that X-Project selects into the token, if the machine may see it", async () => {
    const name = `project-${randomUUID().slice(0, 8)}`;
    const created = await rpc(
      server,
      "OrganizationService/CreateProject",
      { orgId: "default", name },
      asSuperuser(server),
    );
    const project = (created.body.project ?? {}) as { id?: string };
    expect(project.id).toMatch(/^[0-9a-f-]{36}$/);
    const claimOf = (text: string) =>
      JSON.parse(Buffer.from(text.split(".")[1] ?? "", "base64url").toString()).project_id;
    const superuserToken = await post(
      server,
      "/oauth2/token",
      { grant_type: "client_credentials" },
      { ...asSuperuser(server), "x-project": name },
    );
    expect(claimOf(String(superuserToken.body.access_token))).toBe(project.id);
    expect(claimOf(await tokenOf(server, machine, { "x-project": name }))).toBeUndefined();
    expect(claimOf(await tokenOf(server, machine, { "x-project": "no-such-project" }))).toBeUndefined();
    expect(claimOf(await tokenOf(server, machine))).toBeUndefined();
  });
});

describe("the OAuth routes of two processes on one Postgres", () => {
  let first: TestServer;
  let second: TestServer;
  const config = { public_url: "http://localhost:7400" };
  beforeAll(async () => {
    first = await startServer({ database: "postgres", config });
    second = await startServer({ state: first.state, config });
  });
  afterAll(async () => {
    await second?.kill();
    await first?.[Symbol.asyncDispose]();
  });

  it("let exactly one of them use an assertion", async () => {
    const machine = await createMachine(first);
    for (let round = 0; round < 10; round++) {
      const assertion = await assertionOf(first, machine, { aud: config.public_url });
      const answers = await Promise.all(
        [first, second, first, second].map((server) =>
          post(server, "/oauth2/token", { grant_type: jwtBearer, assertion }),
        ),
      );
      const outcomes = answers.map(({ status, body }) => (status === 200 ? "ok" : body.error));
      expect(outcomes.sort()).toEqual(["invalid_grant", "invalid_grant", "invalid_grant", "ok"]);
    }
  });

  it("refuse a revoked token at once here and within a second there", async () => {
    const machine = await createMachine(first);
    let token = "";
    const ask = async (server: TestServer) =>
      (await rpc(server, "AuthService/GetCurrentUser", {}, { authorization: `Bearer ${token}` })).status;
    await within(1000, async () => {
      token = await tokenOf(first, machine);
      expect([await ask(first), await ask(second)]).toEqual([200, 200]);
      await post(first, "/oauth2/revoke", { token }, basic(machine.secretId, machine.secret));
      const revokedAt = performance.now();
      expect(await ask(first)).toBe(401);
      await eventually(async () => expect(await ask(second)).toBe(401));
      return performance.now() - revokedAt;
    });
    await second.stop();
    second = await startServer({ state: first.state, config });
    expect(await ask(second)).toBe(401);
  });
});

describe("assertions of Frontier's clients", () => {
  it("are taken at AuthToken alone, where that is configured", async () => {
    await using server = await startServer({ config: { authentication: { assertions: "frontier" } } });
    const machine = await createMachine(server);
    const now = Math.floor(Date.now() / 1000);
    const sign = async () =>
      await new SignJWT({ iss: "//frontier-go-sdk", sub: machine.id, kid: machine.kid, exp: now + day / 2 })
        .setProtectedHeader({ alg: "ES256" })
        .sign(machine.privateKey);
    const assertion = await sign();
    const path = "AuthService/AuthToken";
    const message = { grantType: jwtBearer, assertion };
    expect((await rpc(server, path, message)).status).toBe(200);
    expect((await rpc(server, path, message)).status).toBe(200);
    const oauthAnswer = await post(server, "/oauth2/token", { grant_type: jwtBearer, assertion });
    expect(oauthAnswer).toMatchObject({ status: 400, body: { error: "invalid_grant" } });
  });
});
