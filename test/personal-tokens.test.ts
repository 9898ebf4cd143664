/** Personal access tokens from outside: what they open and what not, on every surface, and when they end. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { type DescMethod, type DescService, getOption } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { accepts_pats, CredentialPolicy, credential_policy } from "@vestibule/proto/vestibule/v1/options_pb";
import { decodeJwt } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readBlocks, runShell } from "./parts/documentation.ts";
import { createFrontdoor, getAssertion } from "./parts/gate.ts";
import { type Answer, basic, postJson, send } from "./parts/http.ts";
import { findCode, findLink, hasCode, listMails, Person, waitForMail } from "./parts/person.ts";
import { openTransport, protocols } from "./parts/rpc.ts";
import { startServer, type TestServer } from "./parts/server.ts";

const own = "/vestibule.v1.PersonalTokenService";
const frontier = "/raystack.frontier.v1beta1.FrontierService";
const refused = { status: 401, json: { code: "unauthenticated", message: "not authenticated" } };
const ownerRole = "c1790d5d-a473-5a2c-8d7f-3858cd73fc5f";
const managerRole = "ff6a36c5-bcee-565f-b0f4-aaa70647e7f7";
const viewerRole = "48cf69c9-ee22-5e93-ae8e-fa03c588a12c";
const projectRole = "a1dbb9db-6305-5c18-b1f4-378c980af348";

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
/** To the second, as it is answered. */
const inDays = (days: number) =>
  new Date(Date.now() + days * 86_400_000).toISOString().replace(/\.\d+Z$/, "Z");

/** All services of ours, a new one as well. */
async function findServices(): Promise<DescService[]> {
  const folder = join(import.meta.dirname, "../gen/src/vestibule/v1");
  const files = readdirSync(folder).filter((name) => name.endsWith("_service_pb.js"));
  const modules = await Promise.all(files.map((name) => import(join(folder, name))));
  return modules
    .flatMap((each) => Object.values(each))
    .filter((each): each is DescService => isService(each));
}

function isService(value: unknown): boolean {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "service";
}

describe.each(["sqlite", "postgres"] as const)("personal access tokens on %s", (database) => {
  let server: TestServer;

  beforeAll(async () => {
    const limits = { mails_per_address_per_hour: 1000, failed_credentials_per_address_per_minute: 1000 };
    server = await startServer({ database, config: { limits, audit: { retention: "24h" } } });
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  const asRoot = async (method: string, message: object) => {
    const answer = await postJson(server, `/vestibule.v1.${method}`, message, basic(server));
    expect(answer.status, answer.text).toBe(200);
    return answer.json;
  };

  let count = 0;
  const newName = () => `n${count++}-${database}`;

  /** Somebody in a session of their own, an owner of an organization of theirs. */
  async function comeIn() {
    const person = new Person(server);
    const email = `${newName()}@example.org`;
    await person.signIn(email);
    const { id } = (await person.call("GetCurrentUser")).json.user;
    const name = newName();
    const made = await post(person, "/vestibule.v1.OrganizationService/CreateOrganization", {
      body: { name },
    });
    const orgId: string = made.json.organization.id;
    return { person, id: id as string, email, orgId, org: name };
  }

  const post = (person: Person, path: string, message: object) =>
    postJson(server, path, message, person.headers());
  const call = (person: Person, method: string, message: object, service = own) =>
    post(person, `${service}/${method}`, message);
  const ask = (token: string, method: string, message: object = {}) =>
    postJson(server, `/vestibule.v1.${method}`, message, bearer(token));

  function toDraft(orgId: string, more: object = {}) {
    const scopes = [{ role_id: managerRole, resource_type: "app/organization" }];
    return { title: newName(), org_id: orgId, expires_at: inDays(30), scopes, ...more };
  }

  async function createToken(person: Person, orgId: string, more: object = {}) {
    const answer = await call(person, "CreateCurrentUserPAT", toDraft(orgId, more));
    expect(answer.status, answer.text).toBe(200);
    return answer.json.pat as { id: string; token: string };
  }

  const withRole = (role_id: string) => ({ scopes: [{ role_id, resource_type: "app/organization" }] });

  it("are made, found, changed, made anew and deleted by Frontier's calls", async () => {
    const { person, orgId, id } = await comeIn();
    const ofFrontier = (method: string, message: object) => call(person, method, message, frontier);
    const { roles } = (await ofFrontier("ListRolesForPAT", { scopes: ["app/organization"] })).json;
    expect(roles.map(({ id: roleId }: { id: string }) => roleId)).toEqual([
      ownerRole,
      managerRole,
      viewerRole,
    ]);
    expect(roles[0].permissions).toContain("app_organization_update");
    expect((await ofFrontier("ListRolesForPAT", {})).json.roles).toHaveLength(6);
    expect((await ofFrontier("ListRolesForPAT", { scopes: ["app/group"] })).status).toBe(400);

    const title = { org_id: orgId, title: "Laptop" };
    expect((await ofFrontier("CheckCurrentUserPATTitle", title)).json).toEqual({ available: true });
    const scopes = [
      { role_id: viewerRole, resource_type: "app/organization" },
      { role_id: projectRole, resource_type: "app/project" },
    ];
    const expires_at = inDays(30);
    const draft = { ...title, scopes, expires_at, metadata: { for: "tests" } };
    const { pat } = (await ofFrontier("CreateCurrentUserPAT", draft)).json;
    expect(pat).toEqual({
      ...title,
      id: expect.any(String),
      user_id: id,
      token: expect.stringMatching(/^vstu_[\w-]{48}$/),
      scopes,
      expires_at,
      created_at: expect.any(String),
      updated_at: expect.any(String),
      metadata: { for: "tests" },
    });
    expect((await ofFrontier("CheckCurrentUserPATTitle", { ...title, title: "LAPTOP" })).json).toEqual({});
    expect(await ofFrontier("CreateCurrentUserPAT", { ...draft, title: "laptop" })).toMatchObject({
      status: 409,
      json: { code: "already_exists", message: "personal access token with this name already exists" },
    });

    const { token: _, ...shown } = pat;
    expect((await ofFrontier("GetCurrentUserPAT", { id: pat.id })).json).toEqual({ pat: shown });
    await createToken(person, orgId, { title: "another" });
    const query = { search: "lap", limit: 10, sort: [{ name: "title", order: "asc" }] };
    expect((await ofFrontier("SearchCurrentUserPATs", { org_id: orgId, query })).json).toEqual({
      pats: [shown],
      pagination: { limit: 10, total_count: 1 },
    });
    const grouped = await ofFrontier("SearchCurrentUserPATs", {
      org_id: orgId,
      query: { group_by: ["title"] },
    });
    expect([grouped.status, grouped.json.message]).toEqual([
      400,
      "query.group_by: is not supported: leave it out",
    ]);
    const sorted = await ofFrontier("SearchCurrentUserPATs", {
      org_id: orgId,
      query: { sort: [{ name: "title", order: "up" }] },
    });
    expect(sorted.status).toBe(400);

    const renamed = await ofFrontier("UpdateCurrentUserPAT", {
      id: pat.id,
      title: "Desk",
      scopes: [scopes[0]],
    });
    expect(renamed.json.pat).toMatchObject({ id: pat.id, title: "Desk", scopes: [scopes[0]], expires_at });
    expect(renamed.json.pat).not.toHaveProperty("metadata");
    const anew = (await ofFrontier("RegenerateCurrentUserPAT", { id: pat.id, expires_at: inDays(7) })).json
      .pat;
    expect(anew.token).not.toBe(pat.token);
    expect(anew.regenerated_at).toEqual(expect.any(String));
    expect(await ask(pat.token, "AuthService/GetCurrentUser")).toMatchObject(refused);
    expect((await ask(anew.token, "AuthService/GetCurrentUser")).json.user.id).toBe(id);
    expect((await ofFrontier("DeleteCurrentUserPAT", { id: pat.id })).json).toEqual({});
    expect(await ofFrontier("DeleteCurrentUserPAT", { id: pat.id })).toMatchObject({
      status: 404,
      json: { code: "not_found", message: "personal access token not found" },
    });
    expect(await ask(anew.token, "AuthService/GetCurrentUser")).toMatchObject(refused);
  });

  it("are refused with what is missing or wrong, and nothing is made", async () => {
    const { person, orgId } = await comeIn();
    const elsewhere = await comeIn();
    const wrong: readonly (readonly [object, number, string])[] = [
      [{ title: "" }, 400, "title"],
      [{ title: "x".repeat(51) }, 400, "title"],
      [{ title: "two\nlines" }, 400, "title"],
      [{ org_id: "acme" }, 400, "org_id"],
      [{ org_id: elsewhere.orgId }, 403, "not authorized"],
      [{ expires_at: undefined }, 400, "expires_at"],
      [{ expires_at: inDays(-1) }, 400, "expiry must be in the future"],
      [{ expires_at: inDays(370) }, 400, "expiry exceeds maximum allowed lifetime"],
      [{ scopes: [] }, 400, "scopes"],
      [{ scopes: [{ role_id: "owner", resource_type: "app/organization" }] }, 400, "role_id"],
      [{ scopes: [{ role_id: viewerRole, resource_type: "app/project" }] }, 400, "role does not support"],
      [{ scopes: [{ role_id: viewerRole, resource_type: "app/group" }] }, 400, "role scope is not supported"],
      [{ ...withRole(orgId) }, 400, "one or more requested roles do not exist"],
      [{ metadata: { a: "x".repeat(17_000) } }, 400, "metadata"],
    ];
    for (const [more, status, text] of wrong) {
      const answer = await call(person, "CreateCurrentUserPAT", toDraft(orgId, more));
      expect([answer.status, answer.text], JSON.stringify(more)).toEqual([
        status,
        expect.stringContaining(text),
      ]);
    }
    expect((await call(person, "SearchCurrentUserPATs", { org_id: orgId })).json.pats).toBeUndefined();
    // What opens an account by another credential makes no tokens.
    const { accessToken } = (await person.call("AuthToken")).json;
    for (const headers of [basic(server), bearer(accessToken), {}]) {
      const answer = await postJson(server, `${own}/CreateCurrentUserPAT`, toDraft(orgId), headers);
      expect(answer.status).toBe("authorization" in headers ? 403 : 401);
    }
    // Another site's page has the cookie, and no say.
    const foreign = person.headers({ origin: "https://evil.example" });
    expect((await postJson(server, `${own}/CreateCurrentUserPAT`, toDraft(orgId), foreign)).status).toBe(403);
  });

  it("are good for the methods that say so alone, of all that there are (28)", async () => {
    const { person, orgId, id } = await comeIn();
    const { token } = await createToken(person, orgId, withRole(ownerRole));
    const { accessToken } = (await ask(token, "AuthService/AuthToken")).json;
    const methods = (await findServices()).flatMap((service) => service.methods);
    const isOpen = (method: DescMethod) => getOption(method, credential_policy) >= CredentialPolicy.OPEN;
    const closed = methods.filter((method) => !isOpen(method) && !getOption(method, accepts_pats));
    expect(closed.length).toBeGreaterThan(40);
    for (const method of closed) {
      const path = `/${method.parent.typeName}/${method.name}`;
      for (const secret of [token, accessToken]) {
        if (method.methodKind === "server_streaming") {
          expect(await beginStream(path, secret), path).toContain('"permission_denied"');
          continue;
        }
        const answer = await postJson(server, path, {}, bearer(secret));
        expect([answer.status, reasonOf(answer)], path).toEqual([403, "PAT_NOT_ACCEPTED"]);
      }
    }
    // What must never be among the others.
    const never =
      /Session|Passkey|Identit|Invit|PAT|User$|Users$|UserSession|SetMemberRole|RemoveMember$|AddMember$|CreateOrganization|DeleteOrganization|EnableOrganization|DisableOrganization/;
    const opened = methods.filter((method) => !closed.includes(method) && !isOpen(method));
    const harmless = ["GetCurrentUser", "ListOrganizationsByCurrentUser", ...ofServiceUsers(methods)];
    expect(
      opened.map(({ name }) => name).filter((name) => never.test(name) && !harmless.includes(name)),
    ).toEqual([]);
    // One that takes no credential takes it for none.
    expect((await ask(token, "AuthService/ListAuthStrategies")).status).toBe(200);
    const begun = await ask(token, "AuthService/Authenticate", {
      strategyName: "passkey",
      reauthenticate: true,
    });
    expect(JSON.stringify(begun.json)).not.toContain(id);
  });

  /** What a stream ends with, as Connect has it: each message behind its length. */
  async function beginStream(path: string, secret: string): Promise<string> {
    const headers = { "content-type": "application/connect+json", ...bearer(secret) };
    const body = Buffer.from("\0\0\0\0\u0002{}");
    return (await send(`${server.url}${path}`, { headers, body })).text;
  }

  const ofServiceUsers = (methods: readonly DescMethod[]) =>
    methods.filter(({ parent }) => parent.name === "ServiceUserService").map(({ name }) => name);

  function reasonOf({ json }: Answer): string | undefined {
    const details: { type: string; debug?: { reason?: string }; value?: string }[] = json?.details ?? [];
    return details.map(({ debug, value = "" }) => debug?.reason ?? readReason(value)).find(Boolean);
  }

  const readReason = (value: string) =>
    /[A-Z]+(?:_[A-Z]+)+/.exec(Buffer.from(value, "base64").toString("latin1"))?.[0];

  it("are nowhere more than their owner, in one organization, whatever their owner is elsewhere", async () => {
    const { person, orgId, org, id } = await comeIn();
    const other = newName();
    const second = await post(person, "/vestibule.v1.OrganizationService/CreateOrganization", {
      body: { name: other },
    });
    expect(second.status).toBe(200);
    const { token } = await createToken(person, orgId, withRole(managerRole));
    const weak = await createToken(person, orgId, withRole(viewerRole));
    const listed = (await ask(token, "OrganizationService/ListOrganizations")).json.organizations;
    expect(listed.map(({ name }: { name: string }) => name)).toEqual([org]);
    expect((await ask(token, "OrganizationService/GetOrganization", { id: other })).status).toBe(403);
    const create = (secret: string, org_id: string, role = "viewer") =>
      ask(secret, "ServiceUserService/CreateServiceUser", { org_id, body: { title: "m", role } });
    expect((await create(token, org)).status).toBe(200);
    expect((await create(token, org, "manager")).status).toBe(200);
    for (const denied of [create(token, org, "owner"), create(token, other), create(weak.token, org)]) {
      expect((await denied).status).toBe(403);
    }
    // Demoted to a viewer, who is no owner any more: the token is one at once, and its access token.
    const { accessToken } = (await ask(token, "AuthService/AuthToken")).json;
    const successor = await comeIn();
    await asRoot("OrganizationService/AddMember", { org_id: org, user_id: successor.id, role: "owner" });
    await asRoot("OrganizationService/SetMemberRole", { org_id: org, user_id: id, role: "viewer" });
    for (const secret of [token, accessToken]) {
      expect((await create(secret, org)).status).toBe(403);
      expect((await ask(secret, "OrganizationService/ListMembers", { org_id: org })).status).toBe(200);
    }
    await asRoot("OrganizationService/SetMemberRole", { org_id: org, user_id: id, role: "owner" });
    expect((await create(token, org)).status).toBe(200);
    expect((await create(token, org, "owner")).status).toBe(403);
  });

  it("end with the membership, and joining again brings none back (27)", async () => {
    const { person, orgId, org, id } = await comeIn();
    const { token, id: patId } = await createToken(person, orgId);
    const { accessToken } = (await ask(token, "AuthService/AuthToken")).json;
    const successor = await comeIn();
    await asRoot("OrganizationService/AddMember", { org_id: org, user_id: successor.id, role: "owner" });
    const leave = { org_id: org, user_id: id };
    expect((await post(person, "/vestibule.v1.OrganizationService/RemoveMember", leave)).status).toBe(200);
    const isRefused = async () => {
      for (const secret of [token, accessToken]) {
        expect(await ask(secret, "AuthService/GetCurrentUser")).toMatchObject(refused);
      }
      expect((await call(person, "GetCurrentUserPAT", { id: patId })).status).toBe(404);
    };
    await isRefused();
    await asRoot("OrganizationService/AddMember", { org_id: org, user_id: id, role: "owner" });
    await isRefused();
    expect((await createToken(person, orgId)).token).not.toBe(token);
  });

  it("are exported without a secret, and gone when a change of address is taken back", async () => {
    const { person, orgId, email } = await comeIn();
    const { token, id: patId } = await createToken(person, orgId);
    const { messages } = await person.stream("ExportCurrentUser");
    const exported = messages.filter(({ kind }) => kind === "personal_token").map(({ item }) => item);
    expect(exported).toMatchObject([{ id: patId, orgId, scope: { role: "manager" } }]);
    expect(JSON.stringify(messages)).not.toContain("vstu_");
    const moved = `${newName()}@example.org`;
    const before = listMails(server);
    const { state } = (await person.call("BeginEmailChange", { email: moved })).json;
    const code = findCode(await waitForMail(server, moved, before, hasCode));
    expect((await person.call("FinishEmailChange", { state, code })).status).toBe(200);
    // The address alone changes nothing about them.
    expect((await ask(token, "AuthService/GetCurrentUser")).json.user.email).toBe(moved);
    const notice = await waitForMail(server, email, before, (text) => text.includes("was changed"));
    const link = findLink(notice).searchParams.get("t");
    expect((await new Person(server).call("UndoEmailChange", { token: link })).status).toBe(200);
    expect(await ask(token, "AuthService/GetCurrentUser")).toMatchObject(refused);
  });

  it("say whose they are in access tokens and when they are asked about, to whom it concerns", async () => {
    const { person, orgId, id } = await comeIn();
    const { token, id: patId } = await createToken(person, orgId);
    const { accessToken } = (await ask(token, "AuthService/AuthToken")).json;
    const claims = { sub: patId, sub_type: "app/pat", user_id: id, auth_via: "pat", client_id: patId };
    expect(decodeJwt(accessToken)).toMatchObject({ ...claims, credential_id: patId, org_ids: orgId });
    expect(decodeJwt(accessToken)).not.toHaveProperty("email");
    expect((await ask(accessToken, "AuthService/AuthToken")).status).toBe(401);
    const machine = async (org_id: string) => {
      const { serviceuser } = await asRoot("ServiceUserService/CreateServiceUser", { org_id, body: {} });
      const of = { org_id, id: serviceuser.id };
      const { secret } = await asRoot("ServiceUserService/CreateServiceUserCredential", of);
      return basic({ clientId: secret.id, clientSecret: secret.secret });
    };
    const [ours, theirs] = [await machine(orgId), await machine((await comeIn()).orgId)];
    const form = { "content-type": "application/x-www-form-urlencoded" };
    const introspect = async (secret: string, by: object) =>
      (
        await send(`${server.url}/oauth2/introspect`, {
          headers: { ...form, ...by },
          body: `token=${secret}`,
        })
      ).json;
    for (const secret of [token, accessToken]) {
      expect(await introspect(secret, ours)).toMatchObject({ active: true, ...claims, org_ids: orgId });
      expect(await introspect(secret, theirs)).toEqual({ active: false });
    }
    // It is no client of the OAuth routes; but ends itself there.
    for (const headers of [bearer(token), basic({ clientId: patId, clientSecret: token })]) {
      const asked = { headers: { ...form, ...headers }, body: "grant_type=client_credentials" };
      expect((await send(`${server.url}/oauth2/token`, asked)).status).toBe(401);
    }
    expect(
      (
        await send(`${server.url}/oauth2/introspect`, {
          headers: { ...form, ...bearer(token) },
          body: `token=${token}`,
        })
      ).status,
    ).toBe(401);
    const other = await createToken(person, orgId);
    const revoke = (secret: string, by: string) =>
      send(`${server.url}/oauth2/revoke`, { headers: { ...form, ...bearer(by) }, body: `token=${secret}` });
    expect((await revoke(token, other.token)).status).toBe(200);
    expect((await ask(token, "AuthService/GetCurrentUser")).status).toBe(200);
    expect((await revoke(token, token)).status).toBe(200);
    for (const secret of [token, accessToken]) {
      expect(await ask(secret, "AuthService/GetCurrentUser")).toMatchObject(refused);
      expect(await introspect(secret, ours)).toEqual({ active: false });
    }
  });

  it("come in by every protocol and by REST, and no other way than as bearer", async () => {
    const { person, orgId, id } = await comeIn();
    const { token, id: patId } = await createToken(person, orgId);
    for (const protocol of protocols) {
      using opened = openTransport(server.url, protocol, "h2c");
      const client = createClient(AuthService, opened.transport);
      const { user } = await client.getCurrentUser({}, { headers: bearer(token) });
      expect(user?.id, protocol).toBe(id);
    }
    const frontdoor = { method: "POST", headers: { "content-type": "application/json", ...bearer(token) } };
    const made = await send(`${server.url}/frontdoor`, { ...frontdoor, body: "{}" });
    expect([made.status, made.json.organizationId]).toEqual([201, orgId]);
    const wrongPlaces = [
      { "x-user-token": token },
      { cookie: `sid=${token}` },
      basic({ clientId: patId, clientSecret: token }),
    ];
    for (const headers of wrongPlaces) {
      expect(await postJson(server, "/vestibule.v1.AuthService/GetCurrentUser", {}, headers)).toMatchObject(
        refused,
      );
    }
    // Of two credentials on one request both have to be of one principal.
    const both = person.headers(bearer(token));
    expect(await postJson(server, "/vestibule.v1.AuthService/GetCurrentUser", {}, both)).toMatchObject(
      refused,
    );
  });

  it("see the projects that they are for, and their owner sees", async () => {
    const { person, orgId } = await comeIn();
    const createProject = async (name: string) =>
      (
        await post(person, "/vestibule.v1.OrganizationService/CreateProject", {
          org_id: orgId,
          name,
        })
      ).json.project.id as string;
    const [shop, store] = [await createProject("shop"), await createProject("store")];
    const inOrg = { role_id: viewerRole, resource_type: "app/organization" };
    const inProjects = (resource_ids: string[]) => ({
      role_id: projectRole,
      resource_type: "app/project",
      resource_ids,
    });
    const see = async (...scopes: object[]) => {
      const { token } = await createToken(person, orgId, { scopes });
      const { json } = await ask(token, "OrganizationService/ListProjects", { org_id: orgId });
      const claims: unknown[] = [];
      for (const project of [shop, store]) {
        const headers = { ...bearer(token), "x-project": project };
        const { accessToken } = (await postJson(server, "/vestibule.v1.AuthService/AuthToken", {}, headers))
          .json;
        claims.push(decodeJwt(accessToken).project_id);
      }
      const got = await Promise.all(
        [shop, store].map((id) => ask(token, "OrganizationService/GetProject", { id })),
      );
      expect(got.map(({ status }) => status === 200)).toEqual(
        [shop, store].map((id) => (json.projects ?? []).some((each: { id: string }) => each.id === id)),
      );
      return { listed: (json.projects ?? []).map(({ id }: { id: string }) => id), claims };
    };
    expect(await see(inOrg)).toEqual({ listed: [], claims: [undefined, undefined] });
    expect(await see(inOrg, inProjects([shop]))).toEqual({ listed: [shop], claims: [shop, undefined] });
    expect(await see(inOrg, inProjects([]))).toEqual({ listed: [shop, store], claims: [shop, store] });
    expect(await see({ ...inOrg, role_id: managerRole })).toEqual({
      listed: [shop, store],
      claims: [shop, store],
    });
    // Without a role in the organization nothing of that is read, and its projects are seen all the same.
    expect(await see(inProjects([store]))).toEqual({ listed: [], claims: [undefined, store] });
  });

  it("come in behind the gate as their owner, by their own role alone", async () => {
    const hostname = `${newName()}.example.com`;
    const door = await createFrontdoor(server, { hostname, scheme: "https" });
    const { organization } = await asRoot("OrganizationService/GetOrganization", { id: "default" });
    const { person, id, email, orgId } = await comeIn();
    await asRoot("OrganizationService/AddMember", { org_id: "default", user_id: id, role: "manager" });
    const { token, id: patId } = await createToken(person, organization.id, withRole(viewerRole));
    const foreign = await createToken(person, orgId);
    const assertion = await getAssertion(server, door, bearer(token));
    expect(decodeJwt(assertion)).toMatchObject({ email, email_verified: true });
    expect(JSON.stringify(decodeJwt(assertion))).toContain(id);
    await expect(getAssertion(server, door, bearer(foreign.token))).rejects.toThrow();
    await door.call("PUT", `/frontdoor/${door.id}/auth-providers/${door.vestibuleProviderId}`, {
      name: "vestibule",
      type: "VESTIBULE",
      data: { allowedRoles: ["manager"] },
    });
    await expect(getAssertion(server, door, bearer(token))).rejects.toThrow();
    const { accessToken } = (await person.call("AuthToken")).json;
    expect(await getAssertion(server, door, bearer(accessToken))).not.toBe("");
    await door.call("PUT", `/frontdoor/${door.id}/auth-providers/${door.vestibuleProviderId}`, {
      name: "vestibule",
      type: "VESTIBULE",
      data: {},
    });
    expect(await getAssertion(server, door, bearer(token))).not.toBe("");
    await call(person, "DeleteCurrentUserPAT", { id: patId });
    await expect(getAssertion(server, door, bearer(token))).rejects.toThrow();
  });

  it("are counted and recorded as their owner's", async () => {
    const { person, orgId, org, id } = await comeIn();
    const { token, id: patId } = await createToken(person, orgId);
    await ask(token, "OrganizationService/CreateProject", { org_id: org, name: "by-token" });
    await call(person, "DeleteCurrentUserPAT", { id: patId });
    const { records } = (await post(person, "/vestibule.v1.AuditService/ListAuditRecords", { org_id: org }))
      .json;
    const byToken = records.find(({ action }: { action: string }) => action === "project.create");
    expect(byToken).toMatchObject({
      actor: { type: "user", id },
      credentialKind: "personal_token",
      credentialId: patId,
    });
    expect(JSON.stringify(records)).not.toContain(token);
  });

  it("is used as the page says", async () => {
    const { person, orgId } = await comeIn();
    const COOKIE = person.headers().cookie ?? "";
    const variables = { COOKIE, ORG_ID: orgId, ROLE_ID: viewerRole, EXPIRES_AT: inDays(30) };
    const [roles, create, list, exchange, search, remove, revoke, ...more] = readBlocks(
      "docs/personal-tokens.md",
      "sh",
    );
    expect(more).toEqual([]);
    const run = async (block = "", rest = {}) => await runShell(block, server, { ...variables, ...rest });
    expect(JSON.parse(await run(roles)).roles).toHaveLength(6);
    const { pat } = JSON.parse(await run(create));
    const PAT: string = pat.token;
    expect(JSON.parse(await run(list, { PAT }))).toEqual({});
    expect(decodeJwt(JSON.parse(await run(exchange, { PAT })).accessToken).sub).toBe(pat.id);
    expect(JSON.parse(await run(search)).pats).toMatchObject([{ id: pat.id }]);
    expect(JSON.parse(await run(remove, { PAT_ID: pat.id }))).toEqual({});
    const other = JSON.parse(await run(create)).pat.token;
    expect(await run(revoke, { PAT: other })).toBe("{}");
    expect(await ask(other, "AuthService/GetCurrentUser")).toMatchObject(refused);
  });
});
