/**
 * Organizations and roles in access tokens, where others read them: over one
 * process on SQLite, and over two on Postgres.
 */
import { decodeJwt } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "./parts/eventually.ts";
import { type Answer, basic, postJson, send } from "./parts/http.ts";
import { Person } from "./parts/person.ts";
import { createState, type ServerState, startServer, type TestServer } from "./parts/server.ts";

// One name for both, as behind a balancer.
const publicUrl = "http://localhost:7400";
const origin = { origin: publicUrl };
const unknownId = "01900000-0000-7000-8000-0000000000ff";

function postForm(
  { url }: TestServer,
  path: string,
  fields: Record<string, string>,
  headers: Record<string, string>,
): Promise<Answer> {
  const body = new URLSearchParams(fields).toString();
  const form = { "content-type": "application/x-www-form-urlencoded", ...headers };
  return send(`${url}${path}`, { method: "POST", headers: form, body });
}

/** Nothing is said of any organization. */
const none = { org_ids: "", organizations: {} };

/** What a token for all says of organizations, and nothing of one. */
function toAll(...held: readonly (readonly [id: string, name: string, role: string])[]) {
  return {
    org_ids: held.map(([id]) => id).join(","),
    organizations: Object.fromEntries(held.map(([id, name, role]) => [id, { name, roles: [role] }])),
  };
}

/** What a token for one says. */
function toOne(id: string, name: string, role: string) {
  return { ...toAll([id, name, role]), org_id: id, roles: [role] };
}

/** Of claims those about organizations. */
function pick(claims: Record<string, unknown>) {
  const names = ["org_ids", "org_ids_truncated", "organizations", "org_id", "roles", "project_id"];
  return Object.fromEntries(Object.entries(claims).filter(([name]) => names.includes(name)));
}

describe.each(["sqlite", "postgres"] as const)("roles in tokens (%s)", (database) => {
  let state: ServerState;
  let a: TestServer;
  let b: TestServer;

  beforeAll(async () => {
    state = await createState(database);
    const env = { VESTIBULE_PUBLIC_URL: publicUrl };
    a = await startServer({ state, env });
    b = database === "sqlite" ? a : await startServer({ state, env });
  });
  afterAll(async () => {
    await Promise.all([a?.kill(), b?.kill()]);
    await state?.remove();
  });

  const asRoot = async (method: string, message: object) => {
    const answer = await postJson(a, `/vestibule.v1.${method}`, message, basic(a));
    expect(answer.status, answer.text).toBe(200);
    return answer.json;
  };
  const manage = (method: string, message: object) => asRoot(`OrganizationService/${method}`, message);

  async function newOrganization(name: string): Promise<string> {
    const { organization } = await manage("CreateOrganization", { body: { name } });
    // Whom it keeps when people come and go.
    const body = { title: "owner", role: "owner" };
    await asRoot("ServiceUserService/CreateServiceUser", { org_id: organization.id, body });
    return organization.id;
  }

  async function signIn(email: string): Promise<{ person: Person; id: string }> {
    const person = new Person(a);
    person.headers = (extra = {}) => Person.prototype.headers.call(person, { ...origin, ...extra });
    await person.signIn(email);
    return { person, id: (await person.call("GetCurrentUser")).json.user.id };
  }

  const tokenOf = async (person: Person, message = {}, headers = {}, at = a): Promise<string> => {
    const sent = person.headers(headers);
    const answer = await postJson(at, "/vestibule.v1.AuthService/AuthToken", message, sent);
    expect(answer.status, answer.text).toBe(200);
    return answer.json.accessToken;
  };
  const claimsOf = async (...asked: Parameters<typeof tokenOf>) => pick(decodeJwt(await tokenOf(...asked)));

  async function introspect(token: string) {
    const { json } = await postForm(a, "/oauth2/introspect", { token }, basic(a));
    expect(json.active).toBe(true);
    return pick(json);
  }

  it("are the new one in the next token, at once here and soon everywhere; what is asked live says it at once (case 23)", async () => {
    const id = await newOrganization("acme");
    const { person, id: user_id } = await signIn("ada@example.org");
    expect(await claimsOf(person)).toEqual(none);
    expect(await claimsOf(person, {}, {}, b)).toEqual(none);
    const member = { org_id: id, user_id };
    for (const [change, role] of [
      [() => manage("AddMember", { ...member, role: "viewer" }), "viewer"],
      [() => manage("SetMemberRole", { ...member, role: "manager" }), "manager"],
      [() => manage("SetMemberRole", { ...member, role: "owner" }), "owner"],
      [() => manage("SetMemberRole", { ...member, role: "viewer" }), "viewer"],
    ] as const) {
      const before = await tokenOf(person, { orgId: id });
      await change();
      expect(await claimsOf(person)).toEqual(toAll([id, "acme", role]));
      expect(await claimsOf(person, { orgId: id })).toEqual(toOne(id, "acme", role));
      await eventually(async () =>
        expect(await claimsOf(person, {}, {}, b)).toEqual(toAll([id, "acme", role])),
      );
      // An older token says what it said; who asks about it hears what is.
      if (decodeJwt(before).org_id !== undefined) {
        expect(decodeJwt(before).roles).not.toEqual([role]);
        expect(await introspect(before)).toEqual(toOne(id, "acme", role));
      }
    }
    const [all, one] = [await tokenOf(person), await tokenOf(person, { orgId: id })];
    await manage("RemoveMember", member);
    expect(await claimsOf(person)).toEqual(none);
    expect(await claimsOf(person, { orgId: id })).toEqual(none);
    expect(await introspect(all)).toEqual(none);
    expect(await introspect(one)).toEqual(none);
    await eventually(async () => expect(await claimsOf(person, {}, {}, b)).toEqual(none));
  });

  it("are flat in a token for one organization alone, so that an owner of one reads as none of another (case 25)", async () => {
    const [own, other] = [await newOrganization("own"), await newOrganization("other")];
    const { person, id: user_id } = await signIn("bea@example.org");
    await manage("AddMember", { org_id: own, user_id, role: "owner" });
    await manage("AddMember", { org_id: other, user_id, role: "viewer" });
    const held = [
      [own, "own", "owner"],
      [other, "other", "viewer"],
    ] as const;
    expect(await claimsOf(person)).toEqual(toAll(...held));
    for (const [id, name, role] of held) {
      const one = toOne(id, name, role);
      expect(await claimsOf(person, { orgId: id })).toEqual(one);
      expect(await claimsOf(person, { orgId: id.toUpperCase() })).toEqual(one);
      expect(await claimsOf(person, { org_id: name })).toEqual(one);
      expect(await claimsOf(person, {}, { "x-organization": name })).toEqual(one);
    }
    const { project } = await manage("CreateProject", { org_id: own, name: "shop" });
    const asked = { "x-project": "shop" };
    expect(await claimsOf(person, {}, asked)).toMatchObject({ project_id: project.id });
    expect(await claimsOf(person, { orgId: own }, asked)).toMatchObject({ project_id: project.id });
    expect(await claimsOf(person, { orgId: other }, asked)).not.toHaveProperty("project_id");
    expect(await claimsOf(person, { orgId: other }, { "x-project": project.id })).not.toHaveProperty(
      "project_id",
    );
    const mixed = await person.call("AuthToken", { orgId: own }, { ...origin, "x-organization": other });
    expect([mixed.status, mixed.json.code]).toEqual([400, "invalid_argument"]);
  });

  it("are told of no organization that is foreign, disabled, deleted or made up, and which it is is not told", async () => {
    const [home, foreign, shut, gone] = [
      await newOrganization("home"),
      await newOrganization("foreign"),
      await newOrganization("shut"),
      await newOrganization("gone"),
    ];
    const { person, id: user_id } = await signIn("cleo@example.org");
    for (const org_id of [home, shut, gone]) await manage("AddMember", { org_id, user_id, role: "owner" });
    await manage("DisableOrganization", { id: shut });
    await manage("DeleteOrganization", { id: gone });
    expect(await claimsOf(person)).toEqual(toAll([home, "home", "owner"]));
    const garbage = [
      "../home",
      `${home},${foreign}`,
      "*",
      "%",
      "'--",
      "h",
      "HOME",
      "x".repeat(200),
      "ho\u0001me",
    ];
    for (const orgId of [foreign, "foreign", shut, "shut", gone, "gone", unknownId, "default", ...garbage]) {
      expect(await claimsOf(person, { orgId }), orgId).toEqual(none);
    }
    for (const header of [foreign, "shut", "h, home", "h\u00f6me", "x".repeat(3000), `"home"`]) {
      expect(await claimsOf(person, {}, { "x-organization": header }), header).toEqual(none);
    }
    expect(await claimsOf(person, { orgId: "" }, { "x-organization": "" })).toEqual(
      toAll([home, "home", "owner"]),
    );
    const long = await person.call("AuthToken", { orgId: "x".repeat(201) }, origin);
    expect(long.json.code).toBe("invalid_argument");
    await manage("EnableOrganization", { id: shut });
    expect(await claimsOf(person, { orgId: "shut" })).toEqual(toOne(shut, "shut", "owner"));
    expect(await claimsOf(person)).toEqual(toAll([home, "home", "owner"], [shut, "shut", "owner"]));
    await eventually(async () =>
      expect(await claimsOf(person, {}, {}, b)).toEqual(
        toAll([home, "home", "owner"], [shut, "shut", "owner"]),
      ),
    );
  });

  it("are in every token of a machine, which has one organization", async () => {
    const [id, foreign] = [await newOrganization("robots"), await newOrganization("strangers")];
    const body = { title: "CI", role: "manager" };
    const made = (await asRoot("ServiceUserService/CreateServiceUser", { org_id: id, body })).serviceuser;
    const ref = { org_id: id, id: made.id };
    const { secret } = await asRoot("ServiceUserService/CreateServiceUserCredential", ref);
    const { token: opaque } = await asRoot("ServiceUserService/CreateServiceUserToken", ref);
    const client = { client_id: secret.id, client_secret: secret.secret };
    const ask = (fields: Record<string, string>, headers: Record<string, string> = {}): Promise<Answer> =>
      postForm(a, "/oauth2/token", { grant_type: "client_credentials", ...client, ...fields }, headers);
    const granted = async (...asked: Parameters<typeof ask>) =>
      pick(decodeJwt((await ask(...asked)).json.access_token));
    const one = toOne(id, "robots", "manager");
    expect(await granted({})).toEqual(one);
    expect(await granted({ organization: id })).toEqual(one);
    expect(await granted({}, { "x-organization": "robots" })).toEqual(one);
    for (const organization of [foreign, "strangers", unknownId, "x".repeat(500)]) {
      expect(await granted({ organization }), organization).toEqual(none);
    }
    expect((await ask({ organization: id }, { "x-organization": foreign })).json).toMatchObject({
      error: "invalid_request",
      error_description: "organization and X-Organization name different organizations",
    });
    expect(await introspect(opaque.token)).toEqual(one);
    const { access_token } = (await ask({})).json;
    await asRoot("ServiceUserService/UpdateServiceUser", { ...ref, body: { role: "viewer" } });
    expect(await introspect(access_token)).toEqual(toOne(id, "robots", "viewer"));
    expect(await introspect(opaque.token)).toEqual(toOne(id, "robots", "viewer"));
    expect(await granted({})).toEqual(toOne(id, "robots", "viewer"));
  });

  it("of a member of many never make a token too large, nor push their own organization out (T3, case 24)", async () => {
    const { person, id: user_id } = await signIn("dora@example.org");
    const noise: string[] = [];
    const join = async (count: number) => {
      while (noise.length < count) {
        const name = `noise-${noise.length}-`.padEnd(63, "n");
        const { organization } = await manage("CreateOrganization", { body: { name } });
        await manage("AddMember", { org_id: organization.id, user_id, role: "manager" });
        noise.push(organization.id);
      }
    };
    const measure = async () => {
      const token = await tokenOf(person);
      expect(token.length).toBeLessThanOrEqual(4096);
      const claims = decodeJwt(token) as {
        org_ids: string;
        organizations?: object;
        org_ids_truncated?: true;
      };
      return { ...claims, ids: claims.org_ids.split(",") };
    };
    await join(10);
    expect(await measure()).toMatchObject({ ids: noise, organizations: expect.any(Object) });
    await join(40);
    const of40 = await measure();
    expect(of40.ids).toEqual(noise);
    expect([of40.organizations, of40.org_ids_truncated]).toEqual([undefined, undefined]);
    await join(101);
    const employer = await newOrganization("employer");
    await manage("AddMember", { org_id: employer, user_id, role: "owner" });
    const many = await measure();
    expect(many.ids).toEqual([employer, ...noise].slice(0, many.ids.length));
    expect(many.ids.length).toBeGreaterThan(55);
    expect([many.organizations, many.org_ids_truncated]).toEqual([undefined, true]);
    expect(await claimsOf(person, { orgId: noise[100] })).toMatchObject({ roles: ["manager"] });
  });
});

it("are left out of tokens where the settings say so, but for those that are asked for", async () => {
  const claims = { add_organizations: false, add_org_ids: false };
  await using server = await startServer({ config: { authentication: { token: { claims } } } });
  const { json } = await postJson(server, "/vestibule.v1.AuthService/AuthToken", {}, basic(server));
  const said = pick(decodeJwt(json.accessToken));
  expect(said).toEqual({ org_id: expect.any(String), roles: ["owner"] });
  const asked = { org_id: "elsewhere" };
  const other = await postJson(server, "/vestibule.v1.AuthService/AuthToken", asked, basic(server));
  expect(pick(decodeJwt(other.json.accessToken))).toEqual({});
});
