/**
 * What a caller may do now, asked by Frontier's names: by whoever must not
 * rely on what a token said when it was issued.
 */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { basic, postJson } from "./parts/http.ts";
import { Person } from "./parts/person.ts";
import { startServer, type TestServer } from "./parts/server.ts";

const frontier = "/raystack.frontier.v1beta1.FrontierService/";

type Headers = Record<string, string>;

describe.each(["sqlite", "postgres"] as const)("permissions (%s)", (database) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ database });
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  const asRoot = async (method: string, message: object) => {
    const answer = await postJson(server, `/vestibule.v1.${method}`, message, basic(server));
    expect(answer.status, answer.text).toBe(200);
    return answer.json;
  };
  const manage = (method: string, message: object) => asRoot(`OrganizationService/${method}`, message);
  const manageMachines = (method: string, message: object) => asRoot(`ServiceUserService/${method}`, message);

  const check = async (by: Headers, permission: string, resource: string) => {
    const { status, json } = await postJson(
      server,
      `${frontier}CheckResourcePermission`,
      { permission, resource },
      by,
    );
    return status === 200 ? (json.status ?? false) : status;
  };

  async function signIn(email: string) {
    const person = new Person(server);
    await person.signIn(email);
    const { id } = (await person.call("GetCurrentUser")).json.user;
    const { accessToken } = (await person.call("AuthToken")).json;
    return { id, by: { authorization: `Bearer ${accessToken}` } };
  }

  it("are those of the role that somebody has now, not when their token was issued (case 23)", async () => {
    const { organization } = await manage("CreateOrganization", { body: { name: "acme" } });
    const { project } = await manage("CreateProject", { org_id: "acme", name: "shop" });
    const { id: user_id, by } = await signIn("ada@example.org");
    const resource = `app/organization:${organization.id}`;
    const ofProject = `app/project:${project.id}`;
    const ask = async () =>
      await Promise.all([
        check(by, "get", resource),
        check(by, "update", resource),
        check(by, "delete", resource),
        check(by, "get", ofProject),
        check(by, "delete", ofProject),
      ]);
    const member = { org_id: "acme", user_id };
    expect(await ask()).toEqual([false, false, false, false, false]);
    await manage("AddMember", { ...member, role: "viewer" });
    expect(await ask()).toEqual([true, false, false, false, false]);
    await manage("AddProjectMember", {
      org_id: "acme",
      project_id: "shop",
      principal_type: "app/user",
      principal_id: user_id,
    });
    expect(await ask()).toEqual([true, false, false, true, false]);
    await manage("SetMemberRole", { ...member, role: "manager" });
    expect(await ask()).toEqual([true, true, false, true, true]);
    await manage("SetMemberRole", { ...member, role: "owner" });
    expect(await ask()).toEqual([true, true, true, true, true]);
    await manage("DisableOrganization", { id: "acme" });
    expect(await ask()).toEqual([false, false, false, false, false]);
    await manage("EnableOrganization", { id: "acme" });
    await manageMachines("CreateServiceUser", { org_id: "acme", body: { title: "CI", role: "owner" } });
    await manage("SetMemberRole", { ...member, role: "viewer" });
    expect(await ask()).toEqual([true, false, false, true, false]);
    await manage("RemoveMember", member);
    expect(await ask()).toEqual([false, false, false, false, false]);
  });

  it("are told of up to twenty at once, each question as it was asked", async () => {
    const { organization } = await manage("CreateOrganization", { body: { name: "other" } });
    const { id: user_id, by } = await signIn("bob@example.org");
    await manage("AddMember", { org_id: "other", user_id, role: "manager" });
    const resource = `app/organization:${organization.id}`;
    const bodies = [
      { permission: "update", resource },
      { permission: "app_organization_delete", resource },
      { permission: "update", resource: resource.toUpperCase() },
      { permission: "get", resource: "org:other" },
      { permission: "no such thing, 名前", resource },
      { permission: "get", resource: `app/organization:${randomUUID()}` },
      { permission: "get", resource: "app/organization:default" },
      { permission: "get", resource: `app/billing:${organization.id}` },
      { permission: "get", resource: "garbage:\u202e:😀" },
    ];
    const ask = (message: object, headers: Headers = by) =>
      postJson(server, `${frontier}BatchCheckPermission`, message, headers);
    const expected = [true, false, false, true, false, false, false, false, false];
    const { json } = await ask({ bodies });
    expect(json.pairs).toEqual(
      bodies.map((body, index) => ({ body, ...(expected[index] && { status: true }) })),
    );
    const twenty = Array(20).fill(bodies[0]);
    expect((await ask({ bodies: twenty })).json.pairs).toHaveLength(20);
    for (const bad of [{}, { bodies: [] }, { bodies: [...twenty, bodies[0]] }]) {
      expect((await ask(bad)).json.code).toBe("invalid_argument");
    }
    const long = { bodies: [{ permission: "p".repeat(201), resource }] };
    expect((await ask(long)).json.code).toBe("invalid_argument");
    expect((await ask({ bodies }, {})).json.code).toBe("unauthenticated");
  });

  it("are told over Frontier's REST paths, by machines too", async () => {
    const { organization } = await manage("CreateOrganization", { body: { name: "machines" } });
    const body = { title: "CI", role: "viewer" };
    const { id } = (await manageMachines("CreateServiceUser", { org_id: "machines", body })).serviceuser;
    const { token } = await manageMachines("CreateServiceUserToken", { id, org_id: "machines" });
    const by = { authorization: `Bearer ${token.token}` };
    const resource = `app/organization:${organization.id}`;
    const may = { permission: "get", resource };
    const mayNot = { permission: "update", resource };
    expect((await postJson(server, "/v1beta1/check", may, by)).json).toEqual({ status: true });
    expect((await postJson(server, "/v1beta1/check", mayNot, by)).json).toEqual({});
    const { json } = await postJson(server, "/v1beta1/batchcheck", { bodies: [may, mayNot] }, by);
    expect(json).toEqual({ pairs: [{ body: may, status: true }, { body: mayNot }] });
  });
});
