/**
 * Every call that the screens of Frontier's newest SDK make, and which is of
 * what there is here: by Connect, as its client sends it, read back by
 * Frontier's own descriptors. The published client is older than the SDK; what
 * it does not know yet is in `fixtures/frontier/newer.proto`.
 */
import type { DescService } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
// @ts-expect-error: untyped on purpose
import { FrontierService } from "./fixtures/frontier-client.js";
import { basic, postJson } from "./parts/http.ts";
import { findCode, hasCode, listMails, Person, waitForMail } from "./parts/person.ts";
import { compileSchemas } from "./parts/schemas.ts";
import { startServer, type TestServer } from "./parts/server.ts";

// biome-ignore lint/suspicious/noExplicitAny: the client's own types do not check
type Answer = any;
type Methods = Answer;

const newer = compileSchemas("test/fixtures/frontier").getService(
  "raystack.frontier.v1beta1.FrontierService",
);

let server: TestServer;
beforeAll(async () => {
  server = await startServer({ config: { limits: { mails_per_address_per_hour: 1000 } } });
});
afterAll(() => server?.[Symbol.asyncDispose]());

/** `fetch` of somebody's browser, on a page of the server's own origin. */
function browserOf(person: Person): typeof globalThis.fetch {
  return async (input, init) => {
    const headers = Object.fromEntries(new Headers(init?.headers));
    const answer = await fetch(input, { ...init, headers: person.headers(headers) });
    for (const line of answer.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (/max-age=0/i.test(line)) person.cookies.delete(name);
      else person.cookies.set(name, value);
    }
    return answer;
  };
}

/** The calls of somebody who is signed in by an SDK; those that were made are noted. */
function openScreens(useBinaryFormat: boolean, called: Set<string>): Methods {
  const transport = createConnectTransport({
    baseUrl: server.url,
    useBinaryFormat,
    fetch: browserOf(new Person(server)),
  });
  const clients = [FrontierService as DescService, newer as DescService].map(
    (service) => createClient(service, transport) as Methods,
  );
  return new Proxy({} as Methods, {
    get: (_, name: string) => {
      called.add(name);
      return clients.find((client) => name in client)?.[name];
    },
  });
}

async function signIn(screens: Methods, email: string): Promise<string> {
  const before = listMails(server);
  const { state } = await screens.authenticate({ strategyName: "mailotp", email });
  const code = findCode(await waitForMail(server, email, before, hasCode));
  await screens.authCallback({ strategyName: "mailotp", code, state });
  return (await screens.getCurrentUser({})).user.id;
}

const refusalOf = async (call: Promise<unknown>) =>
  await call.then(
    () => undefined,
    (error) => [ConnectError.from(error).code, ConnectError.from(error).rawMessage],
  );

async function asRoot(method: string, message: object): Promise<Answer> {
  const { status, json, text } = await postJson(server, `/vestibule.v1.${method}`, message, basic(server));
  if (status !== 200) throw new Error(text);
  return json;
}

/** What the SDK's client views call, other than of groups, of domains' proofs, and of bills. */
const calls = [
  ...["listAuthStrategies", "authenticate", "authCallback", "authLogout"],
  ...["getCurrentUser", "updateCurrentUser", "listSessions", "revokeSession", "pingUserSession"],
  ...["listCurrentUserGroups", "listOrganizationsByCurrentUser", "listProjectsByCurrentUser"],
  ...["createOrganization", "getOrganization", "updateOrganization", "deleteOrganization"],
  ...["batchCheckPermission", "listRoles", "listOrganizationRoles"],
  ...["listOrganizationUsers", "setOrganizationMemberRole", "removeOrganizationMember"],
  ...["listOrganizationInvitations", "createOrganizationInvitation", "deleteOrganizationInvitation"],
  ...["listOrganizationProjects", "createProject", "getProject", "updateProject", "deleteProject"],
  ...["listProjectUsers", "listProjectGroups", "setProjectMemberRole", "removeProjectMember"],
  ...["listOrganizationServiceUsers", "createServiceUser", "getServiceUser", "deleteServiceUser"],
  ...["listServiceUserProjects", "createServiceUserToken", "listServiceUserTokens", "deleteServiceUserToken"],
  ...["searchCurrentUserPATs", "listRolesForPAT", "createCurrentUserPAT", "getCurrentUserPAT"],
  ...["updateCurrentUserPAT", "regenerateCurrentUserPAT", "deleteCurrentUserPAT", "checkCurrentUserPATTitle"],
  ...["listCurrentUserPreferences", "createCurrentUserPreferences"],
  ...["listOrganizationDomains", "listOrganizationGroups", "getOrganizationKyc"],
  ...["listBillingAccounts", "listSubscriptions", "listPlans", "listFeatures"],
];

let count = 0;

describe.each([
  ["JSON", false],
  ["binary", true],
] as const)("the screens' calls, in %s", (_, useBinaryFormat) => {
  const called = new Set<string>();
  const own = { name: `acme-${useBinaryFormat ? "binary" : "json"}`, org: "", ada: "", bob: "" };
  let ada: Methods;
  let bob: Methods;

  beforeAll(async () => {
    ada = openScreens(useBinaryFormat, called);
    bob = openScreens(useBinaryFormat, called);
    own.ada = await signIn(ada, `ada-${count}@example.org`);
    own.bob = await signIn(bob, `bob-${count}@example.org`);
    count += 1;
    const { organization } = await ada.createOrganization({ body: { name: own.name, title: "Acme" } });
    own.org = organization.id;
  });

  it("begin: who is there, and what of Frontier's wider product is not", async () => {
    const { strategies } = await ada.listAuthStrategies({});
    expect(strategies.map(({ name }: Answer) => name)).toContain("mailotp");
    expect((await ada.pingUserSession({})).metadata.ipAddress).toBe("127.0.0.1");
    const { organizations } = await ada.listOrganizationsByCurrentUser({});
    expect(organizations).toMatchObject([{ id: own.org, title: "Acme" }]);
    expect(await ada.getOrganization({ id: own.org })).toMatchObject({ organization: { name: own.name } });
    expect((await ada.listCurrentUserGroups({ orgId: own.org, withPermissions: ["update"] })).groups).toEqual(
      [],
    );
    expect((await ada.getOrganizationKyc({ orgId: own.name })).organizationKyc).toMatchObject({
      orgId: own.org,
      status: false,
    });
    expect((await ada.listBillingAccounts({ orgId: own.org })).billingAccounts).toEqual([]);
    expect((await ada.listSubscriptions({ orgId: own.org })).subscriptions).toEqual([]);
    expect((await ada.listPlans({})).plans).toEqual([]);
    expect((await ada.listFeatures({})).features).toEqual([]);
    expect((await ada.listOrganizationDomains({ orgId: own.org })).domains).toEqual([]);
    expect((await ada.listOrganizationGroups({ orgId: own.org, withMembers: true })).groups).toEqual([]);
  });

  it("say nothing of an organization to who is no member of it", async () => {
    const closed = [Code.PermissionDenied, "not authorized"];
    const ofOrg = [
      "getOrganizationKyc",
      "listBillingAccounts",
      "listSubscriptions",
      "listOrganizationDomains",
    ];
    for (const name of [...ofOrg, "listOrganizationGroups"]) {
      expect(await refusalOf(bob[name]({ orgId: own.org })), name).toEqual(closed);
    }
    for (const name of [
      "listOrganizationUsers",
      "listOrganizationServiceUsers",
      "listOrganizationProjects",
    ]) {
      expect(await refusalOf(bob[name]({ id: own.org })), name).toEqual(closed);
    }
  });

  it("manage members: roles by their ids, changed, and taken with the membership", async () => {
    const scopes = ["app/organization"];
    const { roles } = await ada.listRoles({ state: "enabled", scopes });
    const roleOf = (name: string) => roles.find((each: Answer) => each.name === name).id;
    expect((await ada.listOrganizationRoles({ orgId: own.org, scopes })).roles).toEqual([]);
    const bodies = ["invitationcreate", "update"].map((permission) => ({
      permission,
      resource: `app/organization:${own.org}`,
    }));
    const { pairs } = await ada.batchCheckPermission({ bodies });
    expect(pairs.map((pair: Answer) => [pair.body.permission, pair.status])).toEqual([
      ["invitationcreate", true],
      ["update", true],
    ]);
    const { invitations } = await ada.createOrganizationInvitation({
      orgId: own.org,
      userIds: [`carl-${own.name}@example.org`],
      roleIds: [roleOf("app_organization_manager")],
    });
    expect((await ada.listOrganizationInvitations({ orgId: own.org })).invitations).toMatchObject([
      { id: invitations[0].id, roleIds: [roleOf("app_organization_manager")] },
    ]);
    await ada.deleteOrganizationInvitation({ orgId: own.org, id: invitations[0].id });

    const change = { orgId: own.org, userId: own.bob, roleId: roleOf("app_organization_manager") };
    const noMember = [Code.FailedPrecondition, "principal is not a member of the resource"];
    expect(await refusalOf(ada.setOrganizationMemberRole(change))).toEqual(noMember);
    const remove = { orgId: own.org, principalId: own.bob, principalType: "app/user" };
    expect(await refusalOf(ada.removeOrganizationMember(remove))).toEqual(noMember);
    await asRoot("OrganizationService/AddMember", { org_id: own.org, user_id: own.bob });
    await ada.setOrganizationMemberRole(change);
    const { users, rolePairs } = await ada.listOrganizationUsers({ id: own.org });
    expect(users.map(({ id }: Answer) => id)).toEqual([own.ada, own.bob]);
    expect(rolePairs).toMatchObject([
      { userId: own.ada, roles: [{ title: "Owner" }] },
      { userId: own.bob, roles: [{ name: "app_organization_manager", title: "Admin" }] },
    ]);

    const role = { orgId: own.org, userId: own.ada, roleId: roleOf("app_organization_viewer") };
    const lastOwner = [
      Code.FailedPrecondition,
      "org must have at least one owner, consider assigning another owner before changing this user's role",
    ];
    expect(await refusalOf(ada.setOrganizationMemberRole(role))).toEqual(lastOwner);
    expect(await refusalOf(ada.removeOrganizationMember({ ...remove, principalId: own.ada }))).toEqual(
      lastOwner,
    );
    expect(await refusalOf(ada.setOrganizationMemberRole({ ...role, roleId: own.ada }))).toEqual([
      Code.NotFound,
      "role id is invalid",
    ]);
    const { roles: ofProject } = await ada.listRoles({ scopes: ["app/project"] });
    expect(await refusalOf(ada.setOrganizationMemberRole({ ...role, roleId: ofProject[0].id }))).toEqual([
      Code.InvalidArgument,
      "role is not valid for organization scope",
    ]);
    expect(
      await refusalOf(ada.removeOrganizationMember({ ...remove, principalType: "app/serviceuser" })),
    ).toEqual([Code.InvalidArgument, "cannot remove service user from org, use DeleteServiceUser instead"]);
    const byManager = { ...change, roleId: roleOf("app_organization_owner") };
    expect(await refusalOf(bob.setOrganizationMemberRole(byManager))).toEqual([
      Code.PermissionDenied,
      "not authorized",
    ]);
    await bob.removeOrganizationMember(remove);
    expect((await ada.listOrganizationUsers({ id: own.org })).users).toHaveLength(1);
  });

  it("manage machines, their projects and tokens", async () => {
    const { project } = await asRoot("OrganizationService/CreateProject", { org_id: own.org, name: "shop" });
    const body = { title: "CI" };
    const { serviceuser } = await ada.createServiceUser({ orgId: own.org, body });
    const ref = { orgId: own.org, id: serviceuser.id };
    expect((await ada.getServiceUser(ref)).serviceuser.title).toBe("CI");
    expect((await ada.listOrganizationServiceUsers({ id: own.org })).serviceusers).toMatchObject([body]);
    expect(
      (await ada.listOrganizationProjects({ id: own.org, withMemberCount: true })).projects,
    ).toMatchObject([{ id: project.id, orgId: own.org }]);
    const { roles } = await ada.listRoles({ scopes: ["app/project"] });
    const owner = roles.find(({ name }: Answer) => name === "app_project_owner");
    const member = { projectId: project.id, principalId: serviceuser.id, principalType: "app/serviceuser" };
    const noMember = [Code.NotFound, "principal is not a member of the resource"];
    expect(await refusalOf(ada.removeProjectMember(member))).toEqual(noMember);
    await ada.setProjectMemberRole({ ...member, roleId: owner.id });
    const { projects, accessPairs } = await ada.listServiceUserProjects({
      ...ref,
      withPermissions: ["get"],
    });
    expect([projects, accessPairs]).toMatchObject([
      [{ id: project.id }],
      [{ projectId: project.id, permissions: ["get"] }],
    ]);
    await ada.removeProjectMember(member);
    expect((await ada.listServiceUserProjects(ref)).projects).toEqual([]);
    const outsider = { ...member, principalId: own.bob, principalType: "app/user", roleId: owner.id };
    expect(await refusalOf(ada.setProjectMemberRole(outsider))).toEqual([
      Code.FailedPrecondition,
      "principal is not a member of the resource",
    ]);
    expect(await refusalOf(bob.setProjectMemberRole(outsider))).toEqual([
      Code.NotFound,
      "project doesn't exist",
    ]);
    expect((await ada.listProjectGroups({ id: project.id })).groups).toEqual([]);
    const seen = await ada.listProjectsByCurrentUser({
      orgId: own.org,
      withPermissions: ["update", "delete", "no_such"],
      nonInherited: true,
    });
    expect(seen).toMatchObject({
      projects: [{ id: project.id }],
      accessPairs: [{ projectId: project.id, permissions: ["update", "delete"] }],
      count: 1,
    });
    expect((await bob.listProjectsByCurrentUser({})).projects).toEqual([]);

    const { token } = await ada.createServiceUserToken({ ...ref, title: "key" });
    expect((await ada.listServiceUserTokens(ref)).tokens).toMatchObject([{ id: token.id, title: "key" }]);
    await ada.deleteServiceUserToken({ ...ref, tokenId: token.id });
    await ada.deleteServiceUser(ref);
    expect((await ada.listOrganizationServiceUsers({ id: own.org })).serviceusers).toEqual([]);
  });

  it("manage projects and who is in them", async () => {
    const body = { name: "store", title: "Store", orgId: own.org };
    const { project } = await ada.createProject({ body });
    expect(project).toMatchObject(body);
    expect(await refusalOf(ada.createProject({ body }))).toEqual([Code.AlreadyExists, "name is taken"]);
    expect((await refusalOf(ada.createProject({ body: { ...body, name: "" } })))?.[0]).toBe(
      Code.InvalidArgument,
    );
    expect((await refusalOf(bob.createProject({ body: { ...body, name: "bobs" } })))?.[0]).toBe(
      Code.PermissionDenied,
    );
    expect((await ada.getProject({ id: project.id })).project.title).toBe("Store");
    const renamed = { ...body, title: "Stores" };
    expect((await ada.updateProject({ id: project.id, body: renamed })).project).toMatchObject(renamed);
    const member = { projectId: project.id, principalId: own.ada, principalType: "app/user" };
    await ada.setProjectMemberRole({ ...member, roleId: "app_project_manager" });
    expect(await ada.listProjectUsers({ id: project.id })).toMatchObject({
      users: [{ id: own.ada }],
      rolePairs: [{ userId: own.ada, roles: [{ name: "app_project_viewer" }] }],
    });
    const gone = [Code.NotFound, "project doesn't exist"];
    expect(await refusalOf(bob.listProjectUsers({ id: project.id }))).toEqual(gone);
    expect(await refusalOf(bob.deleteProject({ id: project.id }))).toEqual(gone);
    await ada.deleteProject({ id: project.id });
    expect(await refusalOf(ada.deleteProject({ id: project.id }))).toEqual(gone);
  });

  it("change the profile, and the organization", async () => {
    const { user } = await ada.getCurrentUser({});
    const profile = { title: "Ada", email: user.email, avatar: user.avatar };
    expect((await ada.updateCurrentUser({ body: profile })).user).toMatchObject({
      id: own.ada,
      title: "Ada",
    });
    const elsewhere = { ...profile, email: `other-${own.name}@example.org` };
    expect(await refusalOf(ada.updateCurrentUser({ body: elsewhere }))).toEqual([
      Code.InvalidArgument,
      expect.stringMatching(/^invalid syntax in body/),
    ]);
    const body = { name: own.name, title: "Acme Ltd", avatar: "" };
    expect((await ada.updateOrganization({ id: own.org, body })).organization).toMatchObject({
      id: own.org,
      ...body,
    });
  });

  it("manage personal access tokens", async () => {
    const { roles } = await ada.listRolesForPAT({ scopes: ["app/organization"] });
    const viewer = roles.find(({ name }: Answer) => name === "app_organization_viewer");
    expect(viewer.permissions).toContain("app_organization_get");
    const title = { orgId: own.org, title: "laptop" };
    expect((await ada.checkCurrentUserPATTitle(title)).available).toBe(true);
    const expiresAt = { seconds: BigInt(Math.floor(Date.now() / 1000) + 86_400), nanos: 0 };
    const scopes = [{ roleId: viewer.id, resourceType: "app/organization", resourceIds: [own.org] }];
    const { pat } = await ada.createCurrentUserPAT({ ...title, expiresAt, scopes });
    expect(pat).toMatchObject({ ...title, userId: own.ada, token: expect.stringMatching(/./) });
    expect((await ada.checkCurrentUserPATTitle(title)).available).toBe(false);
    const { pats, pagination } = await ada.searchCurrentUserPATs({ orgId: own.org });
    expect([pats, pagination.totalCount]).toMatchObject([[{ id: pat.id, token: "" }], 1]);
    expect((await ada.getCurrentUserPAT({ id: pat.id })).pat.scopes).toMatchObject([{ roleId: viewer.id }]);
    const renamed = { id: pat.id, title: "desktop", scopes };
    expect((await ada.updateCurrentUserPAT(renamed)).pat.title).toBe("desktop");
    const again = (await ada.regenerateCurrentUserPAT({ id: pat.id, expiresAt })).pat;
    expect([again.id, again.token === pat.token]).toEqual([pat.id, false]);
    expect((await refusalOf(bob.getCurrentUserPAT({ id: pat.id })))?.[0]).toBe(Code.NotFound);
    await ada.deleteCurrentUserPAT({ id: pat.id });
    expect((await ada.searchCurrentUserPATs({ orgId: own.org })).pats).toEqual([]);
  });

  it("keep preferences, and refuse those that there are not", async () => {
    expect((await ada.listCurrentUserPreferences({})).preferences).toEqual([]);
    const choose = (name: string, value: string) =>
      ada.createCurrentUserPreferences({ bodies: [{ name, value }] });
    const { preferences } = await choose("newsletter", "true");
    expect(preferences).toMatchObject([{ name: "newsletter", value: "true", resourceId: own.ada }]);
    await choose("newsletter", "false");
    expect((await ada.listCurrentUserPreferences({})).preferences).toMatchObject([
      { id: preferences[0].id, value: "false" },
    ]);
    expect(await refusalOf(choose("theme", "dark"))).toEqual([
      Code.InvalidArgument,
      "preference trait not found, preferences can only be created with valid trait",
    ]);
    expect(await refusalOf(choose("newsletter", "maybe"))).toEqual([
      Code.InvalidArgument,
      "invalid value for preference",
    ]);
    expect((await bob.listCurrentUserPreferences({})).preferences).toEqual([]);
  });

  it("end: sessions, the organization, the session", async () => {
    const { sessions } = await ada.listSessions({});
    expect(sessions).toMatchObject([{ isCurrentSession: true }]);
    const unknown = { sessionId: own.org };
    expect(await refusalOf(ada.revokeSession(unknown))).toEqual([Code.NotFound, "session doesn't exist"]);
    await ada.deleteOrganization({ id: own.org });
    expect((await ada.listOrganizationsByCurrentUser({})).organizations).toEqual([]);
    await ada.authLogout({});
    expect(await refusalOf(ada.getCurrentUser({}))).toEqual([Code.Unauthenticated, "not authenticated"]);
  });

  it("are all of them", () => {
    expect(calls.filter((name) => !called.has(name))).toEqual([]);
  });
});
