/** From a mail to a membership, as clients see it: over two processes, and past a mail server that is down. */
import { once } from "node:events";
import { SMTPServer } from "smtp-server";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "./parts/eventually.ts";
import { type Answer, basic, postJson } from "./parts/http.ts";
import { findLink, listMails, Person, waitForMail } from "./parts/person.ts";
import { createState, findFreePort, type ServerState, startServer, type TestServer } from "./parts/server.ts";

// One name for both, as behind a balancer.
const publicUrl = "http://localhost:7400";
const origin = { origin: publicUrl };
const ours = "/vestibule.v1.OrganizationService/";
const frontiers = "/raystack.frontier.v1beta1.FrontierService/";

/** The reason of a refusal, or the status. */
function outcomeOf({ json, status }: Answer): string | number {
  const { details = [] } = json ?? {};
  const info = details.find(({ type }: { type: string }) => type === "google.rpc.ErrorInfo");
  return info?.debug?.reason ?? status;
}

describe.each(["sqlite", "postgres"] as const)("an invitation (%s)", (database) => {
  let state: ServerState;
  let a: TestServer;
  /** Another process on Postgres, of an SQLite file there is one. */
  let b: TestServer;

  beforeAll(async () => {
    state = await createState(database);
    const env = { VESTIBULE_PUBLIC_URL: publicUrl };
    a = await startServer({ state, env });
    b = database === "postgres" ? await startServer({ state, env }) : a;
  });
  afterAll(async () => {
    await Promise.all([a?.kill(), b?.kill()]);
    await state?.remove();
  });

  const as = (person: Person, method: string, message: object, at = person.server, prefix = ours) =>
    postJson(at, `${prefix}${method}`, message, person.headers(origin));
  const asRoot = (path: string, message: object) => postJson(a, path, message, basic(a));

  async function signedIn(email: string): Promise<{ person: Person; id: string }> {
    const person = new Person(a);
    person.headers = (extra = {}) => Person.prototype.headers.call(person, { ...origin, ...extra });
    await person.signIn(email);
    return { person, id: (await person.call("GetCurrentUser")).json.user.id };
  }

  async function newOrganization(owner: Person, name: string): Promise<string> {
    return (await as(owner, "CreateOrganization", { body: { name } })).json.organization.id;
  }

  /** Actions of an organization's records, oldest first. */
  async function listActions(orgId: string): Promise<string[]> {
    const { json } = await asRoot("/vestibule.v1.AuditService/ListAuditRecords", { org_id: orgId });
    return json.records.map(({ action }: { action: string }) => action).toReversed();
  }

  it("goes from the mail to a membership, and its power ends with its sender's (cases 1–3, 5, 12, 13)", async () => {
    const { person: ada } = await signedIn("ada@example.org");
    const org_id = await newOrganization(ada, "acme");
    await as(ada, "CreateProject", { org_id, name: "shop" });
    const before = listMails(a);
    const invited = await as(ada, "CreateOrganizationInvitation", {
      org_id: "acme",
      user_ids: ["Bob@Example.org"],
      role: "manager",
      project_ids: ["shop"],
    });
    const [invitation] = invited.json.invitations;
    expect(invitation).toMatchObject({
      userId: "bob@example.org",
      orgId: org_id,
      role: "manager",
      roleIds: ["ff6a36c5-bcee-565f-b0f4-aaa70647e7f7"],
      invitedBy: { type: "app/user", name: "ada@example.org" },
      state: "pending",
    });
    const link = findLink(await waitForMail(a, "bob@example.org", before));
    expect([link.pathname, link.searchParams.get("id")]).toEqual(["/invitation", invitation.id]);
    await eventually(async () => {
      const { json } = await as(ada, "ListOrganizationInvitations", { org_id });
      expect(json.invitations).toEqual([{ ...invitation, sentAt: expect.any(String) }]);
    });

    // Who has the link, and is somebody else, has nothing.
    const ref = { org_id, id: invitation.id };
    const { person: eve } = await signedIn("eve@example.org");
    for (const method of ["AcceptOrganizationInvitation", "GetOrganizationInvitation"]) {
      const refused = outcomeOf(await as(eve, method, { ...ref, t: undefined }));
      expect(refused).toBe(method.startsWith("Get") ? "NOT_AUTHORIZED" : "INVITATION_NOT_FOUND");
    }

    const { person: bob, id } = await signedIn("bob@example.org");
    const own = (await as(bob, "ListCurrentUserInvitations", {})).json;
    expect(own.invitations).toMatchObject([{ id: invitation.id }]);
    expect(own.orgs).toMatchObject([{ id: org_id, name: "acme" }]);
    expect((await as(bob, "AcceptOrganizationInvitation", ref, b)).status).toBe(200);
    expect(outcomeOf(await as(bob, "AcceptOrganizationInvitation", ref))).toBe("INVITATION_NOT_FOUND");
    const roleOf = async () =>
      (await as(ada, "ListMembers", { org_id })).json.members.find(
        (each: { userId: string }) => each.userId === id,
      )?.role;
    expect(await roleOf()).toBe("manager");
    expect((await as(bob, "ListProjects", { org_id })).json.projects).toMatchObject([{ name: "shop" }]);

    // Whom Bob would invite, once he may, is not in by it when he may not any more.
    await as(ada, "SetMemberRole", { org_id, user_id: id, role: "owner" });
    const [next] = (await as(bob, "CreateOrganizationInvitation", { org_id, user_ids: ["carl@example.org"] }))
      .json.invitations;
    await waitForMail(a, "carl@example.org");
    const { person: carl } = await signedIn("carl@example.org");
    expect((await as(carl, "GetOrganizationInvitation", { org_id, id: next.id })).status).toBe(200);
    await as(ada, "SetMemberRole", { org_id, user_id: id, role: "viewer" }, b);
    expect(outcomeOf(await as(carl, "AcceptOrganizationInvitation", { org_id, id: next.id }))).toBe(
      "INVITATION_NOT_FOUND",
    );
    expect((await as(ada, "RemoveMember", { org_id, user_id: id })).status).toBe(200);
    expect(await roleOf()).toBeUndefined();
    expect(await listActions(org_id)).toEqual([
      "organization.create",
      "project.create",
      "invitation.create",
      "invitation.accept",
      "member.add",
      "project.add_member",
      "member.set_role",
      "invitation.create",
      "member.set_role",
      "invitation.delete",
      "member.remove",
    ]);
  });

  it("accepted fifty times at once leaves one membership and one record (case 8)", async () => {
    const { person: owner } = await signedIn("fay@example.org");
    const org_id = await newOrganization(owner, "fifty");
    const { person: invited } = await signedIn("gus@example.org");
    const made = await as(owner, "CreateOrganizationInvitation", { org_id, user_ids: ["gus@example.org"] });
    const ref = { org_id, id: made.json.invitations[0].id };
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        as(invited, "AcceptOrganizationInvitation", ref, index % 2 ? a : b),
      ),
    );
    expect(answers.map(outcomeOf).toSorted()).toEqual([200, ...Array(49).fill("INVITATION_NOT_FOUND")]);
    expect((await as(owner, "ListMembers", { org_id })).json.members).toHaveLength(2);
    const actions = await listActions(org_id);
    expect(actions).toEqual(["organization.create", "invitation.create", "invitation.accept", "member.add"]);
  });

  it("is the only way in: nobody joins by the domain of their address (case 14)", async () => {
    const { person: owner } = await signedIn("kim@corp.example");
    const org_id = await newOrganization(owner, "corp");
    const { person: colleague } = await signedIn("lee@corp.example");
    const listed = await as(colleague, "ListOrganizationsByCurrentUser", {}, a, frontiers);
    expect(listed.json).toEqual({});
    expect(outcomeOf(await as(colleague, "GetOrganization", { id: org_id }))).toBe("NOT_AUTHORIZED");
  });

  it("is made, seen and answered by Frontier's clients", async () => {
    const { person: owner } = await signedIn("hal@example.org");
    const orgId = await newOrganization(owner, "frontier");
    const { person: invited, id } = await signedIn("ida@example.org");
    const frontier = (person: Person, method: string, message: object) =>
      as(person, method, message, a, frontiers);
    const { roles } = (await frontier(owner, "ListRoles", { scopes: ["app/organization"] })).json;
    const roleIds = [roles[0].id];
    const made = await frontier(owner, "CreateOrganizationInvitation", {
      orgId,
      userIds: ["ida@example.org"],
      roleIds,
    });
    expect(made.json.invitations).toMatchObject([
      { user_id: "ida@example.org", role_ids: roleIds, role: "owner" },
    ]);
    const ref = { orgId, id: made.json.invitations[0].id };
    const again = await frontier(owner, "CreateOrganizationInvitation", {
      orgId,
      userIds: ["ida@example.org"],
    });
    expect([again.status, outcomeOf(again)]).toEqual([429, "TOO_MANY_INVITATIONS"]);
    expect(Number(again.headers["retry-after"])).toBeGreaterThan(500);
    expect(again.text).toContain("google.rpc.RetryInfo");
    const groups = { orgId, userIds: ["jo@example.org"], groupIds: [orgId] };
    for (const bad of [
      groups,
      { orgId, userIds: [] },
      { orgId, userIds: Array(11).fill("jo@example.org") },
      { orgId, userIds: ["jo"] },
      { orgId, userIds: ["jo@example.org"], roleIds: [...roleIds, ...roleIds] },
      { orgId, userIds: ["jo@example.org"], roleIds: ["app_group_owner"] },
      { orgId, userIds: ["jo@example.org"], roleIds: ["app_project_owner"] },
      { orgId, userIds: ["jo@example.org"], roleIds: [orgId] },
      { orgId, userIds: ["jo@example.org"], roleIds, role: "viewer" },
    ]) {
      const refused = await frontier(owner, "CreateOrganizationInvitation", bad);
      expect([refused.status, refused.json.code], JSON.stringify(bad)).toEqual([400, "invalid_argument"]);
    }
    const listed = await frontier(owner, "ListOrganizationInvitations", { orgId, userId: "IDA@example.org" });
    expect(listed.json.invitations).toMatchObject([{ id: ref.id }]);
    expect(
      (await frontier(owner, "ListOrganizationInvitations", { orgId, userId: "jo@example.org" })).json,
    ).toEqual({});
    const asked = await asRoot(`${frontiers}ListUserInvitations`, { id });
    expect(asked.json.invitations).toMatchObject([{ id: ref.id }]);
    expect(outcomeOf(await frontier(owner, "ListUserInvitations", { id }))).toBe("NOT_AUTHORIZED");
    expect((await frontier(invited, "GetOrganizationInvitation", ref)).json.invitation.id).toBe(ref.id);
    const { accessToken } = (await invited.call("AuthToken", {}, origin)).json;
    const byToken = await postJson(a, `${frontiers}AcceptOrganizationInvitation`, ref, {
      authorization: `Bearer ${accessToken}`,
    });
    expect(outcomeOf(byToken)).toBe("NOT_AUTHORIZED");
    expect((await frontier(invited, "AcceptOrganizationInvitation", ref)).json).toEqual({});
    expect((await frontier(owner, "DeleteOrganizationInvitation", ref)).json.code).toBe("not_found");
    const member = { orgId, userIds: ["ida@example.org"] };
    expect((await frontier(owner, "CreateOrganizationInvitation", member)).json).toMatchObject({
      code: "already_exists",
      message: "principal is already a member of the resource",
    });
  });
});

it("made while the mail server is down is mailed once it is back, over a restart, and once", async () => {
  const port = await findFreePort();
  const env = { VESTIBULE_SMTP_URL: `smtp://127.0.0.1:${port}`, VESTIBULE_PUBLIC_URL: publicUrl };
  const state = await createState("sqlite");
  const received: string[] = [];
  const smtp = new SMTPServer({
    authOptional: true,
    disabledCommands: ["STARTTLS"],
    onData(stream, session, callback) {
      stream.resume();
      stream.on("end", () => {
        received.push(...session.envelope.rcptTo.map(({ address }) => address));
        callback();
      });
    },
  });
  smtp.on("error", () => {});
  const call = (server: TestServer, method: string, message: object) =>
    postJson(server, `${ours}${method}`, message, basic(server));
  try {
    const first = await startServer({ state, env });
    await call(first, "CreateOrganization", { body: { name: "acme" } });
    const ref = { org_id: "acme", user_ids: ["ada@example.org"] };
    expect((await call(first, "CreateOrganizationInvitation", ref)).status).toBe(200);
    await first.stop();
    smtp.listen(port, "127.0.0.1");
    await once(smtp.server, "listening");
    for (let start = 0; start < 2; start++) {
      const again = await startServer({ state, env });
      await eventually(async () => {
        const { json } = await call(again, "ListOrganizationInvitations", { org_id: "acme" });
        expect(json.invitations[0].sentAt).toBeDefined();
      });
      await again.stop();
    }
    expect(received).toEqual(["ada@example.org"]);
  } finally {
    await new Promise<void>((resolve) => smtp.close(resolve));
    await state.remove();
  }
});
