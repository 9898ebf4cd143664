/** The REST paths that Frontier's published SDKs still call. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { basic, postJson, send } from "./parts/http.ts";
import { startServer, type TestServer } from "./parts/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server[Symbol.asyncDispose]());

const call = (method: string, body: object) =>
  postJson(server, `/vestibule.v1.${method}`, body, basic(server));

test("GET /v1beta1/users/self says who is calling, in proto names", async () => {
  const answer = await send(`${server.url}/v1beta1/users/self`, { headers: basic(server) });
  expect(answer.status).toBe(200);
  expect(answer.json.serviceuser).toMatchObject({
    title: "Bootstrap",
    state: "enabled",
    org_id: expect.any(String),
  });
});

test("GET /v1beta1/users/self refuses as Frontier does", async () => {
  const answer = await send(`${server.url}/v1beta1/users/self`);
  expect(answer.status).toBe(401);
  expect(answer.json).toMatchObject({ code: "unauthenticated", message: "not authenticated" });
});

test("GET /v1beta1/serviceusers/{id}/keys/{key_id} reads a public key, without naming the organization", async () => {
  const { serviceuser } = (
    await call("ServiceUserService/CreateServiceUser", { org_id: "default", body: { title: "CI" } })
  ).json;
  const { key } = (
    await call("ServiceUserService/CreateServiceUserJWK", {
      id: serviceuser.id,
      org_id: "default",
      title: "k",
    })
  ).json;
  const path = `${server.url}/v1beta1/serviceusers/${serviceuser.id}/keys`;
  const answer = await send(`${path}/${key.kid}`, { headers: basic(server) });
  expect(answer.json).toMatchObject({ keys: [{ kid: key.kid, kty: "RSA", alg: "RS256", use: "sig" }] });
  expect(answer.text).not.toContain("PRIVATE");

  const unknown = "018f4d3e-9c1a-7cc2-8f0e-5b7f8e2d1a00";
  const missing = await send(`${path}/${unknown}`, { headers: basic(server) });
  expect([missing.status, missing.json]).toMatchObject([
    404,
    { code: "not_found", message: "service user credentials not found" },
  ]);
  const nobody = await send(`${path.replace(serviceuser.id, unknown)}/${key.kid}`, {
    headers: basic(server),
  });
  expect(nobody.json).toMatchObject({ code: "not_found", message: "service user not found" });
});

test("roles are listed by the scopes of a query", async () => {
  const answer = await send(`${server.url}/v1beta1/roles?scopes=app%2Forganization&state=enabled`, {
    headers: basic(server),
  });
  expect(answer.json.roles.map((role: { name: string }) => role.name)).toEqual([
    "app_organization_owner",
    "app_organization_manager",
    "app_organization_viewer",
  ]);
  const own = await send(`${server.url}/v1beta1/organizations/default/roles`, { headers: basic(server) });
  expect([own.status, own.json]).toEqual([200, {}]);
});

test("a machine of another organization does not learn that a service user exists", async () => {
  const { organization } = (await call("OrganizationService/CreateOrganization", { body: { name: "other" } }))
    .json;
  const made = (
    await call("ServiceUserService/CreateServiceUser", { org_id: organization.id, body: { title: "spy" } })
  ).json.serviceuser;
  const { secret } = (
    await call("ServiceUserService/CreateServiceUserCredential", { id: made.id, org_id: organization.id })
  ).json;
  const self = (await send(`${server.url}/v1beta1/users/self`, { headers: basic(server) })).json.serviceuser;
  const headers = basic({ clientId: secret.id, clientSecret: secret.secret });
  const answer = await send(`${server.url}/v1beta1/serviceusers/${self.id}/keys/${self.id}`, { headers });
  expect(answer.json).toMatchObject({ code: "not_found", message: "service user not found" });
});
