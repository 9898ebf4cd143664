/**
 * The thin job, from outside, over everything the port speaks: a service user
 * gets a secret, the secret gets a token, anyone verifies it by the JWKS, and
 * what is deleted is refused.
 */
import type { DescService } from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { createLocalJWKSet, type JWTPayload, jwtVerify } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { basic, postJson, send, tlsEnvironment } from "./parts/http.ts";
import {
  type Clients,
  cells,
  frontierClients,
  isTlsWire,
  openTransport,
  ownClients,
  protocols,
  reflectService,
  refusalOf,
} from "./parts/rpc.ts";
import { startServer, type TestServer } from "./parts/server.ts";

const frontierName = "raystack.frontier.v1beta1.FrontierService";

/** Verifies a token as a resource server would: by the published keys alone. */
async function verifyOutside(server: TestServer, token: string): Promise<JWTPayload> {
  const jwks = await send(`${server.url}/.well-known/jwks.json`);
  const issuer = `${server.url.startsWith("https") ? "https" : "http"}://localhost:${server.port}`;
  const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet(jwks.json), {
    issuer,
    audience: issuer,
    typ: "at+jwt",
    algorithms: ["ES256"],
    requiredClaims: ["sub", "client_id", "iat", "nbf", "exp", "jti"],
  });
  expect(protectedHeader.kid).toBe(jwks.json.keys[0].kid);
  return payload;
}

async function runSlice(server: TestServer, { auth, serviceUsers }: Clients): Promise<void> {
  const asSuperuser = { headers: basic(server) };
  const orgId = "default";

  const { serviceuser } = await serviceUsers.createServiceUser(
    { orgId, body: { title: "CI", metadata: { team: "build", tags: ["a", 1, null] } } },
    asSuperuser,
  );
  const id = serviceuser?.id ?? "";
  expect(serviceuser).toMatchObject({ title: "CI", state: "enabled", role: "viewer" });
  expect(serviceuser?.metadata).toEqual({ team: "build", tags: ["a", 1, null] });
  expect((await serviceUsers.getServiceUser({ id, orgId }, asSuperuser)).serviceuser).toEqual(serviceuser);

  const { secret } = await serviceUsers.createServiceUserCredential({ id, orgId, title: "one" }, asSuperuser);
  expect(secret).toMatchObject({ title: "one", secret: expect.stringMatching(/^vsts_[\w-]{48}$/) });
  const listed = await serviceUsers.listServiceUserCredentials({ id, orgId }, asSuperuser);
  expect(listed.secrets).toMatchObject([{ id: secret?.id, title: "one", secret: "" }]);

  const credential = { clientId: secret?.id ?? "", clientSecret: secret?.secret ?? "" };
  const granted = await auth.authToken({ grantType: "client_credentials", ...credential });
  expect(granted).toMatchObject({ tokenType: "Bearer", expiresIn: 3600 });
  const claims = await verifyOutside(server, granted.accessToken);
  expect(claims).toMatchObject({
    sub: id,
    client_id: credential.clientId,
    gen: "system",
    sub_type: "app/serviceuser",
    auth_via: "client_credentials",
    org_ids: serviceuser?.orgId,
  });

  // Basic instead of the body, and no grant type: the same job.
  const other = await auth.authToken({}, { headers: basic(credential) });
  expect((await verifyOutside(server, other.accessToken)).sub).toBe(id);

  const byToken = { headers: { authorization: `Bearer ${granted.accessToken}` } };
  for (const options of [byToken, { headers: basic(credential) }]) {
    const current = await auth.getCurrentUser({}, options);
    expect(current).toMatchObject({ serviceuser: { id, title: "CI" } });
    expect(current.user).toBeUndefined();
  }

  // A viewer reads and does not write.
  expect((await serviceUsers.listServiceUsers({ orgId }, byToken)).serviceusers.length).toBeGreaterThan(0);
  expect(await refusalOf(serviceUsers.createServiceUser({ orgId }, byToken))).toMatchObject({
    code: Code.PermissionDenied,
    rawMessage: "not authorized",
  });

  await serviceUsers.deleteServiceUserCredential({ id, orgId, secretId: credential.clientId }, asSuperuser);
  const refused = { code: Code.Unauthenticated, rawMessage: "not authenticated" };
  expect(await refusalOf(auth.authToken({ grantType: "client_credentials", ...credential }))).toMatchObject(
    refused,
  );
  expect(await refusalOf(auth.getCurrentUser({}, byToken))).toMatchObject(refused);
  expect(await refusalOf(auth.getCurrentUser({}, { headers: basic(credential) }))).toMatchObject(refused);

  await serviceUsers.deleteServiceUser({ id, orgId }, asSuperuser);
  expect(await refusalOf(serviceUsers.getServiceUser({ id, orgId }, asSuperuser))).toMatchObject({
    code: Code.NotFound,
    rawMessage: "service user not found",
  });
  expect(await refusalOf(auth.getCurrentUser({}, byToken))).toMatchObject({
    code: Code.NotFound,
    rawMessage: "user doesn't exist",
  });
}

describe.each(["sqlite", "postgres"] as const)("on %s", (database) => {
  let plain: TestServer;
  let tls: TestServer;
  let frontier: DescService;
  let names: string[];

  beforeAll(async () => {
    [plain, tls] = await Promise.all([
      startServer({ database }),
      startServer({ database, env: tlsEnvironment }),
    ]);
    using open = openTransport(plain.url, "gRPC", "h2c");
    ({ service: frontier, names } = await reflectService(open.transport, frontierName));
  });
  afterAll(async () => {
    await Promise.all([plain?.[Symbol.asyncDispose](), tls?.[Symbol.asyncDispose]()]);
  });

  it.each(cells)("$name", async ({ protocol, wire }) => {
    const server = isTlsWire(wire) ? tls : plain;
    using open = openTransport(server.url, protocol, wire);
    await runSlice(server, ownClients(open.transport));
  });

  it.each(cells)("under Frontier's name, $name", async ({ protocol, wire }) => {
    const server = isTlsWire(wire) ? tls : plain;
    using open = openTransport(server.url, protocol, wire);
    await runSlice(server, frontierClients(frontier, open.transport));
  });

  it("by nothing but JSON over HTTP", async () => {
    const call = (method: string, message: object, headers = {}) =>
      postJson(plain, `/vestibule.v1.${method}`, message, headers);
    const created = await call(
      "ServiceUserService/CreateServiceUser",
      { org_id: "default", body: { title: "curl" } },
      basic(plain),
    );
    expect(created.status).toBe(200);
    const { id } = created.json.serviceuser;
    const made = await call(
      "ServiceUserService/CreateServiceUserCredential",
      { id, org_id: "default" },
      basic(plain),
    );
    const { id: client_id, secret: client_secret } = made.json.secret;
    const grant = { grant_type: "client_credentials", client_id, client_secret };
    const granted = await call("AuthService/AuthToken", grant);
    expect(granted.headers["cache-control"]).toBe("no-store");
    expect(granted.json).toEqual({
      accessToken: expect.any(String),
      tokenType: "Bearer",
      expiresIn: 3600,
    });
    const authorization = `Bearer ${granted.json.accessToken}`;
    const current = await call("AuthService/GetCurrentUser", {}, { authorization });
    expect(current.json.serviceuser).toMatchObject({ id, title: "curl" });
    await call("ServiceUserService/DeleteServiceUser", { id, org_id: "default" }, basic(plain));
    const refused = await call("AuthService/AuthToken", grant);
    expect(refused).toMatchObject({
      status: 401,
      json: { code: "unauthenticated", message: "not authenticated" },
    });
    const gone = await call("AuthService/GetCurrentUser", {}, { authorization });
    expect(gone).toMatchObject({ status: 404, json: { code: "not_found", message: "user doesn't exist" } });
  });

  it("shows Frontier's service and our own by reflection", () => {
    expect(names).toEqual(
      expect.arrayContaining(["vestibule.v1.AuthService", "vestibule.v1.ServiceUserService", frontierName]),
    );
    expect(frontier.methods.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["AuthToken", "GetCurrentUser", "GetJWKs", "CreateServiceUserCredential"]),
    );
  });

  it("answers Frontier's clients in snake_case, takes both cases and drops what it does not know", async () => {
    const path = `/${frontierName}`;
    const snake = { org_id: "default", body: { title: "snake" }, unheard_of: { deep: [1] } };
    const camel = { orgId: "default", body: { title: "camel", newInTheirs: true } };
    for (const message of [snake, camel]) {
      const created = await postJson(plain, `${path}/CreateServiceUser`, message, basic(plain));
      expect(created.status).toBe(200);
      const { serviceuser } = created.json;
      expect(serviceuser).toMatchObject({ title: message.body.title, org_id: expect.any(String) });
      expect(Object.keys(serviceuser)).toEqual(expect.arrayContaining(["created_at", "updated_at"]));
      expect(Object.keys(serviceuser).join()).not.toMatch(/[A-Z]/);
    }
    const granted = await postJson(plain, `${path}/AuthToken`, {}, basic(plain));
    expect(Object.keys(granted.json)).toEqual(["access_token", "token_type", "expires_in"]);
  });

  it.each(protocols)("answers unimplemented for Frontier's other methods, by %s", async (protocol) => {
    // A client of Frontier's has the method in its descriptor; ours stands in for it under its path.
    const method = { ...AuthService.method.getCurrentUser, name: "ListNamespaces" };
    const unknown = { ...AuthService, typeName: frontierName, method: { getCurrentUser: method } };
    using open = openTransport(plain.url, protocol, "h2c");
    const parent = { ...method, parent: unknown };
    const service = { ...unknown, methods: [parent], method: { getCurrentUser: parent } };
    const client = createClient(service as unknown as typeof AuthService, open.transport);
    expect(await refusalOf(client.getCurrentUser({}, { headers: basic(plain) }))).toMatchObject({
      code: Code.Unimplemented,
      rawMessage: "unimplemented",
    });
  });
});
