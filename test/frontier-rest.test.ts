/** The REST paths that Frontier's published SDKs still call. */
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { basic, postJson, send } from "./parts/http.ts";
import { Person } from "./parts/person.ts";
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
  expect([own.status, own.json]).toEqual([200, { roles: [] }]);
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

/** Somebody who is signed in, and calls as the SDK does. */
async function openScreens(email: string) {
  const person = new Person(server);
  await person.signIn(email);
  const ask = async (method: string, path: string, body?: object, headers: Record<string, string> = {}) => {
    const sent = { ...(body && { "content-type": "application/json" }), ...headers };
    const answer = await person.send(`/v1beta1/${path}`, {
      method,
      headers: sent,
      ...(body && { body: JSON.stringify(body) }),
    });
    return { status: answer.status, json: answer.text === "" ? undefined : answer.json };
  };
  return { person, ask };
}

const ok = (json: object) => ({ status: 200, json });

describe("for who is signed in", () => {
  let ask: Awaited<ReturnType<typeof openScreens>>["ask"];
  let own: { id: string; org: string; path: string };
  beforeAll(async () => {
    ({ ask } = await openScreens("ada@example.org"));
    const { user } = (await ask("GET", "users/self")).json;
    const { organization } = (await ask("POST", "organizations", { name: "acme", title: "Acme" })).json;
    own = { id: user.id, org: organization.id, path: `organizations/${organization.id}` };
  });

  it("lists are there when they are empty, and what belongs to Frontier's wider product is", async () => {
    expect(await ask("GET", "users/self/groups?with_permissions=update&with_permissions=delete")).toEqual(
      ok({ groups: [], access_pairs: [] }),
    );
    expect((await ask("GET", "users/self/organizations")).json).toMatchObject({
      organizations: [{ id: own.org }],
      joinable_via_domain: [],
    });
    expect(await ask("GET", `${own.path}/kyc`)).toEqual(ok({ organization_kyc: { org_id: own.org } }));
    expect(await ask("GET", `${own.path}/billing`)).toEqual(ok({ billing_accounts: [] }));
    expect(await ask("GET", `${own.path}/billing/none/subscriptions`)).toEqual(ok({ subscriptions: [] }));
    expect(await ask("GET", `${own.path}/billing/subscriptions`)).toEqual(ok({ subscriptions: [] }));
    expect(await ask("GET", "billing/plans")).toEqual(ok({ plans: [] }));
    expect(await ask("GET", "billing/features")).toEqual(ok({ features: [] }));
    expect(await ask("GET", `${own.path}/domains`)).toEqual(ok({ domains: [] }));
    expect(await ask("GET", `${own.path}/groups`)).toEqual(ok({ groups: [] }));
    expect(await ask("GET", `${own.path}/preferences`)).toEqual(ok({ preferences: [] }));
    expect(await ask("GET", `${own.path}/invitations`)).toEqual(ok({ invitations: [] }));
  });

  it("what a body has besides its fields is dropped, and a parameter that there is not is refused", async () => {
    const created = await ask("POST", `${own.path}/serviceusers`, { body: { title: "CI", project_id: "x" } });
    expect(created).toMatchObject(ok({ serviceuser: { title: "CI" } }));
    const wrong = await ask("POST", `${own.path}/serviceusers`, { body: { title: 7, project_id: "x" } });
    expect(wrong).toMatchObject({
      status: 400,
      json: { code: "invalid_argument", message: "Value for body.title must be of string" },
    });
    expect((await ask("GET", `${own.path}/users?with_everything=true`)).status).toBe(400);
    const path = `${own.path}/serviceusers/${created.json.serviceuser.id}`;
    expect((await ask("GET", path)).json.serviceuser.title).toBe("CI");
    const { token } = (await ask("POST", `${path}/tokens`, { title: "key" })).json;
    expect((await ask("GET", `${path}/tokens`)).json.tokens).toMatchObject([{ id: token.id }]);
    expect(await ask("DELETE", `${path}/tokens/${token.id}`)).toEqual(ok({}));
    expect(await ask("DELETE", path)).toEqual(ok({}));
    expect((await ask("GET", `${own.path}/serviceusers`)).json).toEqual({ serviceusers: [] });
  });

  it("whole records are sent back, changed", async () => {
    const { user } = (await ask("GET", "users/self")).json;
    expect((await ask("PUT", "users/self", { ...user, title: "Ada" })).json.user).toMatchObject({
      id: own.id,
      title: "Ada",
    });
    const { organization } = (await ask("GET", own.path)).json;
    expect(
      (await ask("PUT", own.path, { ...organization, title: "Acme Ltd" })).json.organization,
    ).toMatchObject({
      id: own.org,
      name: "acme",
      title: "Acme Ltd",
    });
  });

  it("members come with their roles, are invited and removed", async () => {
    expect((await ask("GET", `${own.path}/users?with_roles=true`)).json).toMatchObject({
      users: [{ id: own.id, email: "ada@example.org" }],
      role_pairs: [{ user_id: own.id, roles: [{ name: "app_organization_owner" }] }],
    });
    const { roles } = (await ask("GET", "roles?scopes=app/organization&state=enabled")).json;
    const invite = { userIds: ["bob@example.org"], roleIds: [roles[2].id] };
    const { invitations } = (await ask("POST", `${own.path}/invitations`, invite)).json;
    expect(invitations).toMatchObject([{ user_id: "bob@example.org" }]);
    expect(await ask("DELETE", `${own.path}/invitations/${invitations[0].id}`)).toEqual(ok({}));
    expect(await ask("DELETE", `${own.path}/users/${own.id}`)).toMatchObject({
      status: 400,
      json: { code: "failed_precondition" },
    });
  });

  it("a role is changed in one step by a policy, of which none is listed before", async () => {
    const bob = await openScreens("bob@example.org");
    const { user } = (await bob.ask("GET", "users/self")).json;
    await call("OrganizationService/AddMember", { org_id: own.org, user_id: user.id });
    expect(await ask("GET", `policies?org_id=${own.org}&user_id=${user.id}`)).toEqual(ok({ policies: [] }));
    const body = {
      role_id: "app_organization_manager",
      title: "app_organization_manager",
      resource: `app/organization:${own.org}`,
      principal: `app/user:${user.id}`,
    };
    const { policy } = (await ask("POST", "policies", body)).json;
    expect(policy).toMatchObject({ title: body.title, resource: body.resource, principal: body.principal });
    expect((await ask("GET", `${own.path}/users`)).json.role_pairs[1].roles[0].name).toBe(body.role_id);

    const codeOf = async (asked: ReturnType<typeof ask>) => (await asked).json.code;
    expect(await codeOf(bob.ask("POST", "policies", { ...body, role_id: "app_organization_owner" }))).toBe(
      "permission_denied",
    );
    for (const change of [
      { role_id: "app_project_owner" },
      { resource: "app/group:x" },
      { resource: `app/organization:${own.org}:x` },
      { principal: user.id },
      { principal: `app/group:${user.id}` },
      { principal: `app/serviceuser:${user.id}` },
    ]) {
      expect(await codeOf(ask("POST", "policies", { ...body, ...change })), JSON.stringify(change)).toBe(
        "invalid_argument",
      );
    }
    expect(await codeOf(ask("POST", "policies", { ...body, role_id: "none" }))).toBe("not_found");
    const stranger = `app/user:${own.org}`;
    expect(await codeOf(ask("POST", "policies", { ...body, principal: stranger }))).toBe(
      "failed_precondition",
    );
  });

  it("who is let into a project is listed as policies, and taken out by one", async () => {
    const { project } = (await call("OrganizationService/CreateProject", { org_id: own.org, name: "shop" }))
      .json;
    const body = { role_id: "app_project_viewer", principal: `app/user:${own.id}` };
    expect(await ask("POST", `policies/projects/${project.id}`, body)).toEqual(ok({}));
    const { policies } = (await ask("GET", `policies?project_id=${project.id}&user_id=${own.id}`)).json;
    expect(policies).toMatchObject([
      { title: body.role_id, principal: body.principal, resource: `app/project:${project.id}` },
    ]);
    expect((await ask("GET", `policies?project_id=${project.id}&user_id=${own.org}`)).json.policies).toEqual(
      [],
    );
    const eve = await openScreens("eve@example.org");
    const gone = { status: 404, json: { code: "not_found", message: "policy doesn't exist" } };
    expect(await eve.ask("DELETE", `policies/${policies[0].id}`)).toMatchObject(gone);
    expect((await eve.ask("GET", `policies?project_id=${project.id}`)).json.message).toBe(
      "project doesn't exist",
    );
    expect(await ask("DELETE", `policies/${policies[0].id}x`)).toMatchObject(gone);
    expect(await ask("DELETE", "policies/none")).toMatchObject(gone);
    expect(await ask("DELETE", `policies/${policies[0].id}`)).toEqual(ok({}));
    expect(await ask("DELETE", `policies/${policies[0].id}`)).toMatchObject(gone);
  });

  it("projects are created, read, changed and deleted", async () => {
    const { project } = (await ask("POST", "projects", { name: "store", title: "Store", org_id: own.org }))
      .json;
    const path = `projects/${project.id}`;
    expect((await ask("GET", path)).json.project).toMatchObject({ name: "store", org_id: own.org });
    expect((await ask("PUT", path, { ...project, title: "Stores" })).json.project.title).toBe("Stores");
    expect(await ask("GET", `${path}/users?with_roles=true`)).toEqual(ok({ users: [], role_pairs: [] }));
    expect(await ask("GET", `${path}/groups?with_roles=true`)).toEqual(ok({ groups: [], role_pairs: [] }));
    expect(
      (await ask("GET", `users/self/projects?org_id=${own.org}&with_permissions=update`)).json,
    ).toMatchObject({
      access_pairs: expect.arrayContaining([{ project_id: project.id, permissions: ["update"] }]),
    });
    expect(await ask("DELETE", path)).toEqual(ok({}));
    expect((await ask("GET", path)).json.code).toBe("permission_denied");
  });

  it("preferences are chosen", async () => {
    const bodies = [{ name: "newsletter", value: "true" }];
    expect((await ask("POST", "users/self/preferences", { bodies })).json.preferences).toMatchObject(bodies);
    expect((await ask("GET", "users/self/preferences")).json.preferences).toMatchObject(bodies);
    const none = { bodies: [{ name: "theme", value: "dark" }] };
    expect((await ask("POST", "users/self/preferences", none)).status).toBe(400);
    expect(
      (await send(`${server.url}/v1beta1/users/self/preferences`, { headers: basic(server) })).status,
    ).toBe(403);
  });

  it.each(["GET", "DELETE"])(
    "%s auth/logout signs out, and does nothing for a page of another site",
    async (method) => {
      const carl = await openScreens("carl@example.org");
      expect(await carl.ask(method, "auth/logout", undefined, { origin: "https://evil.example" })).toEqual(
        ok({}),
      );
      expect((await carl.ask("GET", "users/self")).status).toBe(200);
      const linked = { cookie: carl.person.headers().cookie ?? "", "sec-fetch-site": "cross-site" };
      expect((await send(`${server.url}/v1beta1/auth/logout`, { method, headers: linked })).status).toBe(200);
      expect((await carl.ask("GET", "users/self")).status).toBe(200);
      expect(await carl.ask(method, "auth/logout")).toEqual(ok({}));
      expect((await carl.ask("GET", "users/self")).status).toBe(401);
    },
  );
});
