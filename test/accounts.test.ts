/** What people do to their own accounts, over the wire: another address, taking it back, leaving. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { basic, postJson } from "./parts/http.ts";
import { findCode, findLink, hasCode, listMails, Person, waitForMail } from "./parts/person.ts";
import { createState, type ServerState, startServer, type TestServer } from "./parts/server.ts";

const rootEmail = "root@example.org";
const ownerRole = "c1790d5d-a473-5a2c-8d7f-3858cd73fc5f";

describe.each(["sqlite", "postgres"] as const)("accounts on %s", (database) => {
  let server: TestServer;
  beforeAll(async () => {
    const limits = { mails_per_address_per_hour: 1000 };
    server = await startServer({ database, config: { limits, admin_emails: [rootEmail] } });
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  const asRoot = (method: string, message: object) =>
    postJson(server, `/vestibule.v1.${method}`, message, basic(server));

  async function signedIn(email: string): Promise<{ person: Person; id: string }> {
    const person = new Person(server);
    await person.signIn(email);
    return { person, id: (await person.call("GetCurrentUser")).json.user.id };
  }

  async function change(person: Person, email: string) {
    const before = listMails(server);
    const begun = await person.call("BeginEmailChange", { email });
    expect(begun.status, begun.text).toBe(200);
    const code = findCode(await waitForMail(server, email, before, hasCode));
    return await person.call("FinishEmailChange", { state: begun.json.state, code });
  }

  it("moves, with the power of its address and without its old tokens, and is taken back", async () => {
    const { person, id } = await signedIn("ada@example.org");
    const thief = new Person(server);
    await thief.signIn("ada@example.org");
    const { accessToken } = (await thief.call("AuthToken")).json;
    const whoAmI = () =>
      postJson(
        server,
        "/vestibule.v1.AuthService/GetCurrentUser",
        {},
        { authorization: `Bearer ${accessToken}` },
      );
    expect((await whoAmI()).status).toBe(200);

    const changed = await change(thief, rootEmail);
    expect(changed.json.user).toMatchObject({ id, email: rootEmail, emailVerified: true });
    expect([(await whoAmI()).status, (await person.call("GetCurrentUser")).status]).toEqual([401, 401]);
    // The new address is one of those who run the place.
    const list = () => postJson(server, "/vestibule.v1.UserService/ListUsers", {}, thief.headers());
    expect((await list()).status).toBe(200);

    const notice = await waitForMail(server, "ada@example.org", [], (text) => text.includes("was changed"));
    const token = findLink(notice).searchParams.get("t");
    const undone = await new Person(server).call("UndoEmailChange", { token });
    expect(undone).toMatchObject({ status: 200, json: { email: "ada@example.org" } });
    expect((await list()).status).toBe(401);
    const owner = await signedIn("ada@example.org");
    expect(owner.id).toBe(id);
    expect(await owner.person.call("BeginEmailChange", { email: "x@example.org" })).toMatchObject({
      status: 400,
      json: { code: "failed_precondition" },
    });
    expect(await new Person(server).call("UndoEmailChange", { token })).toMatchObject({
      status: 400,
      json: { message: "invalid flow or expired" },
    });
  });

  it("refuses machines, strangers and other sites", async () => {
    for (const method of ["BeginEmailChange", "FinishEmailChange", "DeleteCurrentUser"]) {
      expect((await asRoot(`AuthService/${method}`, {})).status, method).toBe(403);
      expect((await new Person(server).call(method, {})).status, method).toBe(401);
      const { person } = await signedIn("bea@example.org");
      const foreign = await person.call(method, {}, { origin: "https://evil.example" });
      expect(foreign.status, method).toBe(403);
    }
  });

  it("is exported whole, without a secret, three times a day, however many ask at once", async () => {
    const { person, id } = await signedIn("dora@example.org");
    await asRoot("OrganizationService/CreateOrganizationInvitation", {
      org_id: "default",
      user_ids: ["dora@example.org"],
    });
    const names = Array.from({ length: 5 }, (_, index) => `${database}-dora-${index}`);
    const create = "/vestibule.v1.OrganizationService/CreateOrganization";
    for (const name of names) {
      const made = await postJson(
        server,
        create,
        { body: { name, title: "Doräs \u{1f680}" } },
        person.headers(),
      );
      expect(made.status, made.text).toBe(200);
    }
    const { messages, end } = await person.stream("ExportCurrentUser");
    expect(end).toEqual({});
    const ofKind = (kind: string) => messages.filter((each) => each.kind === kind).map(({ item }) => item);
    expect(ofKind("profile")).toMatchObject([{ id, email: "dora@example.org", emailProven: true }]);
    expect(ofKind("session")).toMatchObject([{ device: { ipAddress: "127.0.0.1" } }]);
    expect(
      ofKind("membership")
        .map(({ organization }) => organization.name)
        .toSorted(),
    ).toEqual(names);
    expect(ofKind("membership")[0]).toMatchObject({
      role: "owner",
      organization: { title: "Doräs \u{1f680}" },
    });
    expect(ofKind("invitation")).toMatchObject([{ email: "dora@example.org", role: "viewer" }]);
    expect(ofKind("audit_record").map(({ action }) => action)).toEqual([
      "user.export",
      ...Array(5).fill("organization.create"),
      "session.create",
      "user.create",
    ]);
    const kinds = new Set(messages.map(({ kind }) => kind));
    expect(kinds).toEqual(
      new Set(["profile", "session", "known_browser", "membership", "invitation", "audit_record"]),
    );
    const text = JSON.stringify(messages);
    expect(text).not.toMatch(/hash|secret|handle|publicKey|credentialId":"[^"]{40}/i);
    for (const cookie of person.cookies.values()) expect(text).not.toContain(cookie);

    const ends = await Promise.all(Array.from({ length: 8 }, () => person.stream("ExportCurrentUser")));
    const refused = ends.filter(({ end: last }) => last.error?.code === "resource_exhausted");
    expect(refused).toHaveLength(6);
    expect(refused[0]?.end.error.message).toContain("three times a day");
    expect((await asRoot("AuthService/ExportCurrentUser", {})).status).not.toBe(200);
  });

  it("leaves, and the trail keeps its records without names and addresses (21, 22)", async () => {
    const [email, before] = [`carl@${database}.example`, `carl-old@${database}.example`];
    await asRoot("UserService/InviteUser", { email: before });
    await asRoot("OrganizationService/CreateOrganizationInvitation", {
      org_id: "default",
      user_ids: [before],
    });
    const first = await signedIn(before);
    const { id } = first;
    expect((await change(first.person, email)).status).toBe(200);
    expect(await first.person.call("DeleteCurrentUser")).toMatchObject({ status: 400 });
    await asRoot("UserService/UpdateUser", { id, body: { email: before } });
    await asRoot("UserService/UpdateUser", { id, body: { email } });
    await asRoot("OrganizationService/CreateOrganizationInvitation", {
      org_id: "default",
      user_ids: [email],
    });

    const { person } = await signedIn(email);
    await asRoot("OrganizationService/CreateOrganization", { body: { name: `${database}-carl` } });
    const member = { org_id: `${database}-carl`, user_id: id, role: "owner" };
    expect((await asRoot("OrganizationService/AddMember", member)).status).toBe(200);
    const refused = await person.call("DeleteCurrentUser");
    expect(refused).toMatchObject({ status: 400, json: { code: "failed_precondition" } });
    const { organization } = (await asRoot("OrganizationService/GetOrganization", { id: member.org_id }))
      .json;
    expect(refused.text).toContain(organization.id);
    const draft = {
      org_id: organization.id,
      title: "laptop of carl@home",
      expires_at: new Date(Date.now() + 86_400_000).toISOString(),
      scopes: [{ role_id: ownerRole, resource_type: "app/organization" }],
    };
    const create = "/vestibule.v1.PersonalTokenService/CreateCurrentUserPAT";
    const made = await postJson(server, create, draft, person.headers());
    expect(made.status, made.text).toBe(200);
    await asRoot("OrganizationService/DeleteOrganization", { id: member.org_id });

    const left = await person.call("DeleteCurrentUser");
    expect(left.status, left.text).toBe(200);
    expect(person.cookies.has("sid")).toBe(false);
    await waitForMail(server, email, [], (text) => text.includes("Your account was deleted"));

    const list = async (filter: object): Promise<{ action: string; details?: Record<string, string> }[]> => {
      const { status, json } = await asRoot("AuditService/ListAuditRecords", { page_size: 200, ...filter });
      expect(status).toBe(200);
      return json.records;
    };
    const all = await list({});
    expect(JSON.stringify(all)).not.toMatch(/carl(-old)?@/);
    const ofCarl = await list({ target_id: id });
    expect(ofCarl.map(({ action }) => action)).toEqual(
      expect.arrayContaining(["user.create", "user.change_email", "user.delete", "member.add"]),
    );
    const moved = ofCarl.filter(({ action }) => action === "user.change_email");
    expect(moved).toHaveLength(3);
    for (const { details } of moved) {
      expect(details).toMatchObject({ email: "[deleted]", previous_email: "[deleted]" });
    }
    const tokens = await list({ action: "pat.create", target_id: made.json.pat.id });
    expect(tokens).toMatchObject([{ details: { title: "[deleted]", scopes: expect.any(String) } }]);
    // Whoever knows the address finds what was about it.
    expect((await list({ mailbox: email })).map(({ action }) => action)).toEqual(
      expect.arrayContaining(["invitation.create", "invitation.delete", "user.delete"]),
    );

    const again = await signedIn(email);
    expect(again.id).not.toBe(id);
    const organizations = "/vestibule.v1.OrganizationService/ListOrganizations";
    expect((await postJson(server, organizations, {}, again.person.headers())).json).toEqual({});
  });
});

describe("accounts over two processes", () => {
  let state: ServerState;
  let a: TestServer;
  let b: TestServer;
  beforeAll(async () => {
    state = await createState("postgres");
    const env = { VESTIBULE_PUBLIC_URL: "https://id.example.com" };
    [a, b] = await Promise.all([startServer({ state, env }), startServer({ state, env })]);
  });
  afterAll(async () => {
    await Promise.all([a?.kill(), b?.kill()]);
    await state?.remove();
  });

  it("are moved at one and known so at the other within a second, undone at the other and gone at both", async () => {
    const origin = "https://id.example.com";
    const person = new Person(a);
    const call = (method: string, message: object = {}) => person.call(method, message, { origin });
    const codeTo = async (email: string, ask: () => ReturnType<typeof call>) => {
      const before = listMails(a);
      const { json } = await ask();
      return { state: json.state, code: findCode(await waitForMail(a, email, before, hasCode)) };
    };
    const email = "ada@example.org";
    const signIn = { strategyName: "mailotp", email };
    await call("AuthCallback", await codeTo(email, () => call("Authenticate", signIn)));
    const next = "ada@example.com";
    const finished = await call(
      "FinishEmailChange",
      await codeTo(next, () => call("BeginEmailChange", { email: next })),
    );
    expect(finished.status, finished.text).toBe(200);
    const atB = async () =>
      (await postJson(b, "/vestibule.v1.AuthService/GetCurrentUser", {}, person.headers({ origin }))).json
        .user?.email;
    await expect.poll(atB, { timeout: 1000, interval: 20 }).toBe(next);

    const notice = await waitForMail(a, email, [], (text) => text.includes("was changed"));
    const token = findLink(notice).searchParams.get("t");
    const undone = await postJson(b, "/vestibule.v1.AuthService/UndoEmailChange", { token });
    expect(undone.json).toEqual({ email });
    await expect.poll(atB, { timeout: 1000, interval: 20 }).toBeUndefined();
    await expect
      .poll(async () => (await call("GetCurrentUser")).status, { timeout: 1000, interval: 20 })
      .toBe(401);
  });
});
