/** Nobody gets into an organization by a stranger's deed, or out of it by mistake; nobody's own falls out of reach. Over two processes. */
import { decodeJwt } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Answer, basic, postJson } from "./parts/http.ts";
import { Person } from "./parts/person.ts";
import { createState, type ServerState, startServer, type TestServer } from "./parts/server.ts";

// One name for both, as behind a balancer.
const publicUrl = "http://localhost:7400";
const origin = { origin: publicUrl };

/** The reason of a refusal. */
function reasonOf({ json }: Answer): string | undefined {
  const { details = [] } = json ?? {};
  return details.find(({ type }: { type: string }) => type === "google.rpc.ErrorInfo")?.debug?.reason;
}

describe("members and their consent", () => {
  let state: ServerState;
  let a: TestServer;
  let b: TestServer;

  beforeAll(async () => {
    state = await createState("postgres");
    const env = { VESTIBULE_PUBLIC_URL: publicUrl };
    [a, b] = await Promise.all([startServer({ state, env }), startServer({ state, env })]);
  });
  afterAll(async () => {
    await Promise.all([a?.kill(), b?.kill()]);
    await state?.remove();
  });

  const path = (method: string) => `/vestibule.v1.OrganizationService/${method}`;
  const asRoot = (method: string, message: object) => postJson(a, path(method), message, basic(a));
  const as = (person: Person, method: string, message: object, at = person.server) =>
    postJson(at, path(method), message, person.headers(origin));

  async function signedIn(email: string): Promise<{ person: Person; id: string }> {
    const person = new Person(a);
    person.headers = (extra = {}) => Person.prototype.headers.call(person, { ...origin, ...extra });
    await person.signIn(email);
    return { person, id: (await person.call("GetCurrentUser")).json.user.id };
  }

  async function claimsOf(person: Person, headers: Record<string, string> = {}) {
    const answer = await person.call("AuthToken", {}, { ...origin, ...headers });
    return answer.status === 200 ? decodeJwt(answer.json.accessToken) : answer;
  }

  it("a stranger adds nobody (T1), and learns nothing of whom they name", async () => {
    const ada = await signedIn("ada@example.org");
    const mallory = await signedIn("mallory@example.org");
    expect((await as(mallory.person, "CreateOrganization", { body: { name: "evil-corp" } })).status).toBe(
      200,
    );
    const named = { org_id: "evil-corp", role: "owner" };
    const refused = await as(mallory.person, "AddMember", { ...named, user_id: ada.id });
    expect([refused.status, refused.json.code, reasonOf(refused)]).toEqual([
      403,
      "permission_denied",
      "CONSENT_NEEDED",
    ]);
    expect(refused.text).not.toContain("ada@example.org");
    // Nor does the answer tell whether there is such a user.
    const unknown = await as(mallory.person, "AddMember", {
      ...named,
      user_id: "01890000-0000-7000-8000-000000000000",
    });
    expect(unknown.text).toBe(refused.text);
    const members = await as(mallory.person, "ListMembers", { org_id: "evil-corp" });
    expect(members.json.members).toMatchObject([{ userId: mallory.id }]);
    expect(await claimsOf(ada.person)).toMatchObject({ org_ids: "" });
    expect((await asRoot("AddMember", { ...named, user_id: ada.id })).json.member).toMatchObject({
      userId: ada.id,
      email: "ada@example.org",
    });
  });

  it("two hundred others do not push one's own organization out of tokens, nor its projects out of reach (T2)", async () => {
    const { person, id } = await signedIn("bea@example.org");
    for (let index = 0; index < 200; index++) {
      const org_id = `noise-${index}`;
      expect((await asRoot("CreateOrganization", { body: { name: org_id } })).status).toBe(200);
      expect((await asRoot("AddMember", { org_id, user_id: id, role: "manager" })).status).toBe(200);
    }
    const { organization } = (await as(person, "CreateOrganization", { body: { name: "employer" } })).json;
    for (const org_id of ["employer", "noise-0", "noise-1"]) {
      expect((await as(person, "CreateProject", { org_id, name: "shop" })).status).toBe(200);
    }
    const { project } = (await as(person, "CreateProject", { org_id: "employer", name: "till" })).json;
    const orgIds = ((await claimsOf(person)) as { org_ids: string }).org_ids.split(",");
    expect(orgIds[0]).toBe(organization.id);
    expect(orgIds.length).toBeGreaterThan(50);
    expect(await claimsOf(person, { "x-project": "till" })).toMatchObject({ project_id: project.id });

    const ambiguous = await person.call("AuthToken", {}, { ...origin, "x-project": "shop" });
    expect([ambiguous.status, ambiguous.json.code, reasonOf(ambiguous)]).toEqual([
      400,
      "invalid_argument",
      "AMBIGUOUS_PROJECT",
    ]);
    const { projects } = (await as(person, "ListProjects", { org_id: "noise-1" })).json;
    expect(await claimsOf(person, { "x-project": "noise-1/shop" })).toMatchObject({
      project_id: projects[0].id,
    });
    expect(await claimsOf(person, { "x-project": "nowhere/shop" })).not.toHaveProperty("project_id");
  });

  it("disabled organizations take no place in tokens", async () => {
    const { person, id } = await signedIn("cleo@example.org");
    for (let index = 0; index < 100; index++) {
      const org_id = `shut-${index}`;
      await asRoot("CreateOrganization", { body: { name: org_id } });
      await asRoot("AddMember", { org_id, user_id: id });
      expect((await asRoot("DisableOrganization", { id: org_id })).status).toBe(200);
    }
    const { organization } = (await asRoot("CreateOrganization", { body: { name: "open" } })).json;
    await asRoot("AddMember", { org_id: "open", user_id: id });
    expect(await claimsOf(person)).toMatchObject({ org_ids: organization.id });
  });

  it("a person owns twenty organizations, whichever process they ask", async () => {
    const { person } = await signedIn("dora@example.org");
    const answers = await Promise.all(
      Array.from({ length: 26 }, (_, index) =>
        as(person, "CreateOrganization", { body: { name: `dora-${index}` } }, index % 2 ? a : b),
      ),
    );
    const outcomes = answers.map((answer) => reasonOf(answer) ?? answer.status);
    expect(outcomes.filter((one) => one === 200)).toHaveLength(20);
    expect(outcomes.filter((one) => one === "TOO_MANY_ORGANIZATIONS")).toHaveLength(6);
  });

  it("the last owner of an organization is shut out on purpose alone, whichever process is asked", async () => {
    const [eve, fay] = [await signedIn("eve@example.org"), await signedIn("fay@example.org")];
    const disable = (server: TestServer, id: string, more: object = {}) =>
      postJson(server, "/vestibule.v1.UserService/DisableUser", { id, ...more }, basic(server));
    const name = "held-by-two";
    const { organization } = (await as(eve.person, "CreateOrganization", { body: { name } })).json;
    await asRoot("AddMember", { org_id: name, user_id: fay.id, role: "owner" });
    const answers = await Promise.all([disable(a, eve.id), disable(b, fay.id)]);
    const refused = answers.filter(({ status }) => status !== 200);
    expect(refused.map((answer) => [answer.json.code, reasonOf(answer)])).toEqual([
      ["failed_precondition", "LAST_OWNER"],
    ]);
    expect(refused[0]?.json.message).toContain(name);
    expect(refused[0]?.text).toContain(organization.id);
    const last = answers[0]?.status === 200 ? fay : eve;
    expect((await last.person.call("GetCurrentUser")).status).toBe(200);
    expect((await disable(b, last.id, { allow_ownerless: true })).json.user.state).toBe("disabled");
    await expect.poll(async () => (await last.person.call("GetCurrentUser")).status).toBe(403);
  });
});
