/**
 * Frontier's published npm client, unmodified: its descriptors, its messages,
 * its field numbers, against our server. What it does not understand would
 * show here, in whichever protocol it speaks.
 */
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createRemoteJWKSet, importPKCS8, jwtVerify, SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
// @ts-expect-error: untyped on purpose
import { FrontierService } from "./fixtures/frontier-client.js";
import { basic } from "./parts/http.ts";
import { openTransport, type Protocol } from "./parts/rpc.ts";
import { startServer, type TestServer } from "./parts/server.ts";

// biome-ignore lint/suspicious/noExplicitAny: the client's own types do not check
type FrontierClient = any;

let server: TestServer;
beforeAll(async () => {
  server = await startServer({ config: { authentication: { assertions: "frontier" } } });
});
afterAll(() => server[Symbol.asyncDispose]());

const wires = [
  ["Connect JSON", "HTTP/1.1"],
  ["Connect binary", "h2c"],
  ["gRPC", "h2c"],
  ["gRPC-Web", "HTTP/1.1"],
] as const;

function using(protocol: Protocol, wire: "HTTP/1.1" | "h2c") {
  const opened = openTransport(server.url, protocol, wire);
  const client: FrontierClient = createClient(FrontierService, opened.transport);
  return { client, opened };
}

const orgId = "default";
const asRoot = () => ({ headers: basic(server) });
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

async function codeOf(call: Promise<unknown>): Promise<Code | undefined> {
  return await call.then(
    () => undefined,
    (error) => ConnectError.from(error).code,
  );
}

async function verify(token: string): Promise<string | undefined> {
  const keys = createRemoteJWKSet(new URL(`${server.url}/.well-known/jwks.json`));
  return (await jwtVerify(token, keys)).payload.sub;
}

describe.each(wires)("Frontier's client over %s", (protocol, wire) => {
  test("looks after a machine, its secrets, keys and tokens, and signs in with each", async () => {
    const { client, opened } = using(protocol, wire);
    using _closing = opened;
    const body = { title: "CI", metadata: { team: "core" } };
    const { serviceuser } = await client.createServiceUser({ orgId, body }, asRoot());
    const { id } = serviceuser;
    expect(serviceuser).toMatchObject({ title: "CI", state: "enabled", metadata: { team: "core" } });
    expect((await client.getServiceUser({ id, orgId }, asRoot())).serviceuser.id).toBe(id);
    const listed = await client.listServiceUsers({ orgId }, asRoot());
    expect(listed.serviceusers.map((one: { id: string }) => one.id)).toContain(id);

    // A client secret
    const { secret } = await client.createServiceUserCredential({ id, orgId, title: "one" }, asRoot());
    const grant = { grantType: "client_credentials", clientId: secret.id, clientSecret: secret.secret };
    const { accessToken, tokenType } = await client.authToken(grant);
    expect(tokenType).toBe("Bearer");
    expect(await verify(accessToken)).toBe(id);
    const whoami = await client.getCurrentUser({}, bearer(accessToken));
    expect(whoami.serviceuser.id).toBe(id);
    const { secrets } = await client.listServiceUserCredentials({ id, orgId }, asRoot());
    expect(secrets).toMatchObject([{ id: secret.id, title: "one", secret: "" }]);

    // A key pair, used as Frontier's SDKs use it: their issuer, no audience, no jti
    const { key } = await client.createServiceUserJWK({ id, orgId, title: "two" }, asRoot());
    expect(key).toMatchObject({ type: "sv_rsa", principalId: id });
    const assertion = await new SignJWT({ kid: key.kid })
      .setProtectedHeader({ alg: "RS256", kid: key.kid })
      .setIssuer("//frontier-go-sdk")
      .setSubject(id)
      .setIssuedAt()
      .setExpirationTime("12h")
      .sign(await importPKCS8(key.privateKey, "RS256"));
    const grantType = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    expect(await verify((await client.authToken({ grantType, assertion })).accessToken)).toBe(id);
    const jwk = await client.getServiceUserJWK({ id, orgId, keyId: key.kid }, asRoot());
    expect(jwk.keys).toMatchObject([{ kid: key.kid, kty: "RSA" }]);
    const { keys } = await client.listServiceUserJWKs({ id, orgId }, asRoot());
    expect(JSON.parse(keys[0].publicKey).keys[0].kid).toBe(key.kid);

    // An opaque token
    const { token } = await client.createServiceUserToken({ id, orgId, title: "three" }, asRoot());
    const byToken = await client.getCurrentUser({}, bearer(token.token));
    expect(byToken.serviceuser.id).toBe(id);
    const { tokens } = await client.listServiceUserTokens({ id, orgId }, asRoot());
    expect(tokens).toMatchObject([{ id: token.id, title: "three", token: "" }]);

    // All of it goes
    await client.deleteServiceUserToken({ id, orgId, tokenId: token.id }, asRoot());
    await client.deleteServiceUserJWK({ id, orgId, keyId: key.kid }, asRoot());
    await client.deleteServiceUserCredential({ id, orgId, secretId: secret.id }, asRoot());
    const refused = [
      () => client.getCurrentUser({}, bearer(token.token)),
      () => client.getCurrentUser({}, bearer(accessToken)),
      () => client.authToken({ grantType, assertion }),
      () => client.authToken(grant),
    ];
    for (const call of refused) expect(await codeOf(call())).toBe(Code.Unauthenticated);
    await client.deleteServiceUser({ id, orgId }, asRoot());
    const gone = client.getServiceUser({ id, orgId }, asRoot());
    expect(await codeOf(gone)).toBe(Code.NotFound);
  });

  test("finds the keys, the strategies, the organizations and no groups", async () => {
    const { client, opened } = using(protocol, wire);
    using _closing = opened;
    expect((await client.getJWKs({})).keys[0]).toMatchObject({ kty: "EC", alg: "ES256", use: "sig" });
    await client.listAuthStrategies({});
    const name = `acme-${protocol.toLowerCase().replace(/\W/g, "-")}`;
    const { organization } = await client.createOrganization({ body: { name, title: "Acme" } }, asRoot());
    const read = await client.getOrganization({ id: name }, asRoot());
    expect(read.organization).toMatchObject({ id: organization.id, name, title: "Acme", state: "enabled" });
    const mine = await client.listOrganizationsByCurrentUser({}, asRoot());
    expect(mine.organizations.map((one: { name: string }) => one.name)).toContain(name);
    expect((await client.listCurrentUserGroups({}, asRoot())).groups).toEqual([]);
  });

  test("finds the roles that its screens look for by name", async () => {
    const { client, opened } = using(protocol, wire);
    using _closing = opened;
    const namesOf = async (request: object) => {
      const { roles } = await client.listRoles(request, asRoot());
      return roles.map((role: { name: string }) => role.name);
    };
    const ofOrganizations = ["owner", "manager", "viewer"].map((role) => `app_organization_${role}`);
    const ofProjects = ["owner", "manager", "viewer"].map((role) => `app_project_${role}`);
    expect(await namesOf({})).toEqual([...ofOrganizations, ...ofProjects]);
    expect(await namesOf({ state: "enabled", scopes: ["app/organization"] })).toEqual(ofOrganizations);
    expect(await namesOf({ scopes: ["app/project", "app/group"] })).toEqual(ofProjects);
    expect(await namesOf({ scopes: ["app/group"] })).toEqual([]);
    expect(await namesOf({ state: "disabled" })).toEqual([]);
    const [owner, admin] = (await client.listRoles({}, asRoot())).roles;
    expect(owner).toMatchObject({ title: "Owner", state: "enabled", scopes: ["app/organization"] });
    expect([owner, admin].every((role) => role.permissions.includes("app_organization_update"))).toBe(true);
    expect((await client.listOrganizationRoles({ orgId }, asRoot())).roles).toEqual([]);
    expect(await codeOf(client.listRoles({}))).toBe(Code.Unauthenticated);
  });

  test("is told what we do not have, also while it is still sending", async () => {
    for (let round = 0; round < 20; round++) {
      const { client, opened } = using(protocol, wire);
      using _closing = opened;
      expect(await codeOf(client.listNamespaces({}, asRoot()))).toBe(Code.Unimplemented);
    }
  });
});
