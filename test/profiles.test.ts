/** Profiles of people and organizations, as clients change them and see them, at two processes of one database. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Answer, basic, postJson, send } from "./parts/http.ts";
import { Person } from "./parts/person.ts";
import { gif, jpeg, toBytes, toDataUrl, toPng } from "./parts/pictures.ts";
import { createState, findFreePort, type ServerState, startServer, type TestServer } from "./parts/server.ts";

/** What "at once" means for the other process, in milliseconds. */
const atOnceMs = 1000;
const email = "ada@example.org";

describe("profiles", () => {
  let state: ServerState;
  let a: TestServer;
  let b: TestServer;
  let ada: Person;

  beforeAll(async () => {
    state = await createState("postgres");
    const port = await findFreePort();
    const env = { VESTIBULE_PUBLIC_URL: `http://localhost:${port}` };
    a = await startServer({ state, env, port });
    b = await startServer({ state, env });
    ada = new Person(a);
    await ada.signIn(email);
  });
  afterAll(async () => {
    await Promise.all([a?.kill(), b?.kill()]);
    await state?.remove();
  });

  const frontier = (method: string, message: object, server = a): Promise<Answer> =>
    postJson(server, `/raystack.frontier.v1beta1.FrontierService/${method}`, message, ada.headers());
  const update = (body: object) => frontier("UpdateCurrentUser", { body });
  const readAt = async (server: TestServer) => (await frontier("GetCurrentUser", {}, server)).json.user;
  const root = (service: string, message: object) =>
    postJson(a, `/vestibule.v1.${service}`, message, basic(a));

  it("are changed as Frontier's SDK does it, and seen at every process within a second", async () => {
    await readAt(b);
    const { status, json } = await update({ title: "Ada 王 Łąć", email, avatar: toDataUrl(toPng()) });
    expect(status).toBe(200);
    expect(json.user).toMatchObject({ title: "Ada 王 Łąć", email, state: "enabled" });
    expect(json.user.avatar).toMatch(/^http:\/\/localhost:\d+\/avatars\/[\w-]{43}$/);
    expect(await readAt(a)).toEqual(json.user);
    await expect.poll(() => readAt(b), { timeout: atOnceMs, interval: 20 }).toEqual(json.user);
    // What was answered is no change, however often it is said.
    const { avatar, name } = json.user;
    expect((await update({ title: "Ada 王 Łąć", email, avatar, name })).json.user).toEqual(json.user);
    const { users } = (await root("UserService/ListUsers", { email })).json;
    expect(users[0]).toMatchObject({ avatar, title: "Ada 王 Łąć" });
  });

  it("show a picture as what it is, to whoever knows its URL, and run nothing of it", async () => {
    for (const [picture, type] of [
      [jpeg, "image/jpeg"],
      [gif, "image/gif"],
    ] as const) {
      const { avatar } = (await update({ avatar: picture })).json.user;
      const shown = await fetch(avatar);
      expect([shown.status, Buffer.from(await shown.arrayBuffer())]).toEqual([200, toBytes(picture)]);
      const headers = {
        "content-type": type,
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
        "cache-control": "public, max-age=31536000, immutable",
        "content-length": String(toBytes(picture).length),
      };
      expect(Object.fromEntries(shown.headers)).toMatchObject(headers);
      expect(shown.headers.get("set-cookie")).toBeNull();
      const head = await send(avatar, { method: "HEAD" });
      expect([head.status, head.text, head.headers]).toMatchObject([200, "", headers]);
      const again = await send(avatar, { headers: { "if-none-match": shown.headers.get("etag") ?? "" } });
      expect([again.status, again.text]).toEqual([304, ""]);
      // At the other process, too.
      expect((await send(avatar.replace(String(a.port), String(b.port)))).status).toBe(200);
      expect((await send(avatar, { method: "DELETE" })).status).toBe(405);
      expect((await send(avatar, { body: "x" })).status).toBe(405);
      for (const other of ["x", "", "/", "%2f", "?x=1/../x", ".png"]) {
        const wrong = other.startsWith("?") ? avatar.replace(/.{43}$/, other) : `${avatar}${other}`;
        if (other !== "") expect((await send(wrong)).status, other).toBe(404);
      }
      await update({ avatar: "" });
      expect((await send(avatar)).status).toBe(404);
    }
    for (const path of ["/avatars/", "/avatars", "/avatars/..", `/avatars/${"x".repeat(43)}`]) {
      expect((await send(`${a.url}${path}`)).status, path).toBe(404);
    }
  });

  const long = [..."👩🏽‍🚀éא漢字नอ"].join("");
  it.each([
    ["200 characters beyond the first plane", { title: "𝒜".repeat(200) }],
    ["every script", { title: long }],
    ["nothing", { title: "" }],
    ["a handle", { name: "Ada-L_1" }],
    ["metadata", { metadata: { a: { b: [1, "ü", null] } } }],
  ])("may be of %s", async (_name, body) => {
    const { status, json } = await update(body);
    expect(status).toBe(200);
    const name = "name" in body ? { name: body.name.toLowerCase() } : {};
    if ("title" in body && body.title === "") expect(json.user.title ?? "").toBe("");
    else expect(json.user).toMatchObject({ ...body, ...name });
  });

  it.each<[string, object, string | RegExp]>([
    ["another address", { email: "eve@example.org" }, /^invalid syntax in body/],
    ["201 characters", { title: "a".repeat(201) }, /title/],
    ["a NUL", { title: "a\0b" }, /title/],
    ["a line break", { title: "a\nb" }, /title/],
    ["a control of the second set", { title: "a\u0085b" }, /title/],
    ["what turns the writing", { title: "a\u202egnp.exe" }, /title/],
    ["an isolate", { title: "\u2067a" }, /title/],
    ["the Arabic letter mark", { title: "\u061ca" }, /title/],
    ["a separator of lines", { title: "a\u2028b" }, /title/],
    ["a handle that begins with a digit", { name: "1ada" }, /body\.name/],
    ["a handle of three", { name: "ada" }, /body\.name/],
    ["a handle with a space", { name: "ada l" }, /body\.name/],
    ["metadata of more than 16 KiB", { metadata: { a: "x".repeat(16_384) } }, /body\.metadata/],
    ["a picture that is a page", { avatar: "data:image/png;base64,PHNjcmlwdD4=" }, /body\.avatar/],
    ["a drawing that can run", { avatar: "data:image/svg+xml;base64,PHN2Zz4=" }, /body\.avatar/],
    ["a picture of 250001 characters", { avatar: `data:image/png;base64,${"A".repeat(249_979)}` }, /avatar/],
  ])("is not of %s, and changes nothing then", async (_name, body, message) => {
    const before = await readAt(a);
    const answer = await update({ ...body });
    expect([answer.status, answer.json.code]).toEqual([400, "invalid_argument"]);
    expect(answer.json.message).toMatch(message);
    expect(await readAt(a)).toEqual(before);
  });

  it("tell by a reason of its own where an address is changed instead", async () => {
    const { json } = await update({ title: "Eve", email: "eve@example.org" });
    expect(json.details).toContainEqual(
      expect.objectContaining({ debug: expect.objectContaining({ reason: "EMAIL_CHANGE_ELSEWHERE" }) }),
    );
  });

  it("of organizations are changed by their owners, at whichever process, and names are for good", async () => {
    const made = (await frontier("CreateOrganization", { body: { name: "acme" } })).json.organization;
    const body = { name: "acme-two", title: "Acme\u00a0& Söhne", avatar: jpeg };
    const { status, json } = await frontier("UpdateOrganization", { id: "acme", body }, b);
    expect(status).toBe(200);
    expect(json.organization).toMatchObject({ id: made.id, name: "acme-two", title: body.title });
    expect((await send(json.organization.avatar)).status).toBe(200);
    const found = (id: string) => frontier("GetOrganization", { id });
    expect((await found("acme-two")).json.organization).toEqual(json.organization);
    expect((await found("acme")).status).toBe(403);
    const again = await root("OrganizationService/CreateOrganization", { body: { name: "acme" } });
    expect([again.status, again.json.code]).toEqual([409, "already_exists"]);
    for (const wrong of [
      { title: "a\u202eb" },
      { title: "a".repeat(201) },
      { name: "Acme" },
      { name: "ab" },
      { avatar: "javascript:x" },
    ]) {
      const refused = await frontier("UpdateOrganization", { id: made.id, body: wrong });
      expect(refused.json.code, JSON.stringify(wrong)).toBe("invalid_argument");
    }
    const nameless = await frontier("CreateOrganization", { body: { title: "No name" } });
    expect([nameless.status, nameless.json.message]).toEqual([400, expect.stringMatching(/^body\.name: /)]);
    const { json: check } = await frontier("CheckOrganizationDelete", { id: made.id });
    expect(check).toEqual({ can_delete: true, members: 1 });
    const { json: never } = await root("OrganizationService/CheckOrganizationDelete", { id: "default" });
    expect(never).toMatchObject({ serviceUsers: 1, blockers: [{ type: "default" }] });
    expect(never.canDelete).toBeUndefined();
  });

  it("of projects are changed by their organization's managers, by Frontier's names as well", async () => {
    const { id: org } = (await frontier("CreateOrganization", { body: { name: "builders" } })).json
      .organization;
    const own = (method: string, message: object) =>
      postJson(a, `/vestibule.v1.OrganizationService/${method}`, message, ada.headers());
    const { project } = (await own("CreateProject", { orgId: org, name: "house", title: "House" })).json;
    const { user } = (await frontier("GetCurrentUser", {})).json;
    const member = { principalType: "app/user", principalId: user.id };
    expect((await own("AddProjectMember", { orgId: org, projectId: "house", ...member })).status).toBe(200);
    const body = { title: "漢字 House", name: "house-2", metadata: { floor: 2 }, org_id: org };
    const { status, json } = await frontier("UpdateProject", { id: project.id, body });
    expect(status).toBe(200);
    const { org_id, ...changed } = body;
    expect(json.project).toMatchObject({ id: project.id, org_id, ...changed, members_count: 1 });
    expect((await frontier("GetProject", { id: project.id }, b)).json.project).toEqual(json.project);
    const { members } = (await own("ListProjectMembers", { orgId: "builders", projectId: "house-2" })).json;
    expect(members).toMatchObject([{ ...member, email, emailVerified: true }]);
    const foreign = (await root("OrganizationService/GetOrganization", { id: "default" })).json.organization;
    for (const [wrong, answer] of [
      [{ id: project.id, body: { title: "a\u202eb" } }, 400],
      [{ id: project.id, body: { name: "House" } }, 400],
      [{ id: project.id, body: { metadata: { a: "x".repeat(16_384) } } }, 400],
      [{ id: project.id, orgId: org, body: { orgId: foreign.id } }, 400],
      [{ id: project.id, body: { orgId: foreign.id } }, 403],
      [{ id: "house-2", body: { title: "x" } }, 403],
      [{ id: "house", orgId: org, body: { title: "x" } }, 404],
    ] as const) {
      expect((await own("UpdateProject", wrong)).status, JSON.stringify(wrong).slice(0, 100)).toBe(answer);
    }
    expect((await frontier("GetProject", { id: project.id })).json.project).toEqual(json.project);
  });
});
