/** What superusers do about people, over the wire: their sessions, and what the people themselves hear of it. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readBlocks, runShell } from "./parts/documentation.ts";
import { eventually } from "./parts/eventually.ts";
import { basic, postJson } from "./parts/http.ts";
import { countMails, Person, waitForMail } from "./parts/person.ts";
import { startServer, type TestServer } from "./parts/server.ts";

describe.each(["sqlite", "postgres"] as const)("administration of people on %s", (database) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ database });
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  const asRoot = (method: string, message: object, service = "vestibule.v1.UserService") =>
    postJson(server, `/${service}/${method}`, message, basic(server));
  const as = (person: Person, method: string, message: object) =>
    postJson(server, `/vestibule.v1.UserService/${method}`, message, person.headers());

  async function signedIn(email: string): Promise<{ person: Person; id: string }> {
    const person = new Person(server);
    await person.signIn(email);
    return { person, id: (await person.call("GetCurrentUser")).json.user.id };
  }

  const status = async (person: Person) => (await person.call("GetCurrentUser")).status;

  it("ends sessions one by one or all; cookies and tokens of theirs are dead, and the owner is told", async () => {
    const email = "carl@example.org";
    const { person: laptop, id: user_id } = await signedIn(email);
    const { person: phone } = await signedIn(email);
    const { accessToken } = (await laptop.call("AuthToken")).json;
    const bearer = { authorization: `Bearer ${accessToken}` };
    const whoAmI = () => postJson(server, "/vestibule.v1.AuthService/GetCurrentUser", {}, bearer);
    expect((await whoAmI()).status).toBe(200);

    const { sessions } = (await asRoot("ListUserSessions", { user_id })).json;
    const [, own] = sessions;
    expect(sessions).toMatchObject([
      { metadata: { ipAddress: "127.0.0.1" } },
      { metadata: { ipAddress: "127.0.0.1" } },
    ]);
    expect(own.isCurrentSession).toBeUndefined();

    const admin = "raystack.frontier.v1beta1.AdminService";
    expect((await asRoot("RevokeUserSession", { session_id: own.id }, admin)).status).toBe(200);
    expect([await status(laptop), (await whoAmI()).status, await status(phone)]).toEqual([401, 401, 200]);
    const isNotice = (text: string) => text.includes("have ended");
    expect(await waitForMail(server, email, [], isNotice)).toMatch(/Subject: You were signed out/);

    expect((await asRoot("RevokeAllUserSessions", { user_id })).json).toEqual({ revoked: 1 });
    expect((await asRoot("RevokeAllUserSessions", { user_id })).json).toEqual({});
    expect(await status(phone)).toBe(401);
    // Two codes, two notices: what ends nothing is told to nobody.
    await eventually(() => expect(countMails(server, email)).toBe(4));

    const audit = { target_id: user_id, result: "success" };
    const { records } = (await asRoot("ListAuditRecords", audit, "vestibule.v1.AuditService")).json;
    const ended = records.filter(({ action }: { action: string }) => action.includes("revoke"));
    const actor = { type: "serviceuser" };
    expect(ended).toMatchObject([
      { action: "session.revoke_all", actor, details: { revoked: "0" } },
      { action: "session.revoke_all", actor, details: { revoked: "1" } },
      { action: "user.revoke_session", actor, details: { session: own.id } },
    ]);
  });

  /** Makes somebody a member of an organization of their own, as their only owner. */
  async function own(user_id: string, name: string): Promise<void> {
    const service = "vestibule.v1.OrganizationService";
    expect((await asRoot("CreateOrganization", { body: { name } }, service)).status).toBe(200);
    const member = { org_id: name, user_id, role: "owner" };
    expect((await asRoot("AddMember", member, service)).status).toBe(200);
  }

  async function listOwn(person: Person): Promise<string[]> {
    const path = "/vestibule.v1.OrganizationService/ListOrganizations";
    const { organizations = [] } = (await postJson(server, path, {}, person.headers())).json;
    return organizations.map(({ name }: { name: string }) => name);
  }

  it("makes a person, who comes in by their address and finds what they were given", async () => {
    const email = "dora@example.org";
    const body = { email: "Dora@Example.ORG", title: "Dora", metadata: { team: "core" } };
    const { user } = (await asRoot("CreateUser", { body })).json;
    expect(user).toMatchObject({ email, title: "Dora", state: "enabled", metadata: { team: "core" } });
    expect(user.emailVerified).toBeUndefined();
    expect(await asRoot("CreateUser", { body })).toMatchObject({
      status: 409,
      json: { code: "already_exists", message: "already exist: the address is another user's" },
    });
    await own(user.id, `${database}-dora`);

    const { person, id } = await signedIn(email);
    expect([id, await listOwn(person)]).toEqual([user.id, [`${database}-dora`]]);
    const { json } = await person.call("GetCurrentUser");
    expect(json.user).toMatchObject({ title: "Dora", emailVerified: true });
    // A code, and nothing that says the account was emptied.
    expect(countMails(server, email)).toBe(1);
  });

  it("gives a person another address: signed out, told, and in again by the new one with all they had", async () => {
    const [old, email] = ["ada@example.org", "ada@example.com"];
    const { person, id } = await signedIn(old);
    await own(id, `${database}-ada`);
    const { user } = (await asRoot("UpdateUser", { id, body: { email } })).json;
    expect(user).toMatchObject({ id, email });
    expect(user.emailVerified).toBeUndefined();
    expect(await status(person)).toBe(401);
    const has = (text: string) => (mail: string) => mail.includes(text);
    expect(await waitForMail(server, old, [], has("was changed"))).toContain(email);
    expect(await waitForMail(server, email, [], has("An account has your"))).not.toContain(old);

    const again = await signedIn(email);
    expect([again.id, await listOwn(again.person)]).toEqual([id, [`${database}-ada`]]);
    // The old address is anybody's again.
    expect((await signedIn(old)).id).not.toBe(id);
  });

  it("disables with a reason, which superusers read and nobody else, and finds people by how they are called", async () => {
    const { person, id } = await signedIn("mallory@example.org");
    const reason = "chargebacks, ticket 42";
    await asRoot("UpdateUser", { id, body: { title: "Mallory M." } });
    expect((await asRoot("DisableUser", { id, reason })).json.user).toMatchObject({ disabledReason: reason });
    expect(await status(person)).toBe(403);
    expect((await asRoot("GetUser", { id })).json.user).toMatchObject({
      state: "disabled",
      disabledReason: reason,
    });
    const find = async (filter: object) => (await asRoot("ListUsers", filter)).json.users ?? [];
    for (const query of ["MALL", "mallory@", "mallory m"]) {
      expect(await find({ query, state: "disabled" }), query).toMatchObject([{ id }]);
    }
    expect(await find({ query: "mallory", state: "enabled" })).toEqual([]);
    await asRoot("EnableUser", { id });
    const [found] = await find({ query: "mallory" });
    expect(found).toMatchObject({ id, state: "enabled" });
    expect(found.disabledReason).toBeUndefined();
    await asRoot("DeleteUser", { id });
    expect(await find({ query: "mallory" })).toEqual([]);
    expect(await asRoot("GetUser", { id }, "raystack.frontier.v1beta1.FrontierService")).toMatchObject({
      status: 404,
      json: { code: "not_found", message: "user doesn't exist" },
    });
  });

  it.each([
    ["an address that is none", { email: "ada" }, "Invalid email"],
    ["a handle with a space", { email: "x@example.org", name: "a b c d" }, "name"],
    ["a title that turns the direction of writing", { email: "x@example.org", title: "a\u202eb" }, "title"],
    ["a title of 201 characters", { email: "x@example.org", title: "x".repeat(201) }, "title"],
    ["a picture that is no https", { email: "x@example.org", avatar: "javascript:alert(1)" }, "avatar"],
  ])("refuses %s, and makes nobody", async (_what, body, text) => {
    const { status, json } = await asRoot("CreateUser", { body });
    expect([status, json.code]).toEqual([400, "invalid_argument"]);
    expect(json.message).toContain(text);
    expect((await asRoot("ListUsers", { email: "x@example.org" })).json).toEqual({});
  });

  it("goes by the commands of docs/users.md", async () => {
    const blocks = readBlocks("docs/users.md", "sh");
    const [find, organizations, create, change, move, list, revoke, disable, remove] = blocks;
    expect(blocks).toHaveLength(9);
    const run = async (block = "", id = "") => JSON.parse(await runShell(block, server, { USER_ID: id }));
    // Whoever else is called Carl here has another address.
    await asRoot("DeleteUser", { id: (await run(find)).users?.[0]?.id });
    const { user } = await run(create);
    expect(user).toMatchObject({ email: "carl@example.org", title: "Carl", metadata: { team: "sales" } });
    expect((await run(find)).users).toMatchObject([{ id: user.id }]);
    expect(await run(organizations)).toEqual({});
    expect((await run(change, user.id)).user).toMatchObject({ title: "Carl C.", name: "carl-c" });
    expect((await run(move, user.id)).user).toMatchObject({ email: "carl@example.com", title: "Carl C." });
    const { person } = await signedIn("carl@example.com");
    expect((await run(list, user.id)).sessions).toHaveLength(1);
    expect(await run(revoke, user.id)).toEqual({ revoked: 1 });
    expect(await status(person)).toBe(401);
    const disabledReason = "left the company, ticket 42";
    expect((await run(disable, user.id)).user).toMatchObject({ state: "disabled", disabledReason });
    expect(await run(remove, user.id)).toEqual({});
    expect(await run(find)).toEqual({});
  });

  it("is for superusers alone", async () => {
    const { person, id } = await signedIn("eve@example.org");
    const { sessions } = (await person.call("ListSessions")).json;
    const calls = {
      ListUserSessions: { user_id: id },
      RevokeUserSession: { session_id: sessions[0].id },
      RevokeAllUserSessions: { user_id: id },
      CreateUser: { body: { email: "mallory@example.net" } },
      UpdateUser: { id, body: { title: "Root" } },
      ListUsers: { query: "a" },
    };
    for (const [method, message] of Object.entries(calls)) {
      expect(await as(person, method, message), method).toMatchObject({
        status: 403,
        json: { message: "not authorized" },
      });
    }
    expect(await status(person)).toBe(200);
  });
});
