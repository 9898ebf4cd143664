/** What an address that nobody has proven is worth: over the wire, at two processes on one Postgres. */
import { decodeJwt } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type GithubAccount, type GithubSite, startGithubSite } from "./parts/github-site.ts";
import { type Answer, basic, postJson } from "./parts/http.ts";
import { findCode, findLink, hasCode, listMails, Person, waitForMail } from "./parts/person.ts";
import { createState, type ServerState, startServer, type TestServer } from "./parts/server.ts";

// One name for both, as behind a balancer.
const publicUrl = "http://localhost:7400";
const githubAccounts: Record<string, GithubAccount> = {};

/** Reason and metadata of a refusal. */
function infoOf({ json }: Answer): { reason?: string; metadata?: Record<string, string> } {
  const { details = [] } = json ?? {};
  return details.find(({ type }: { type: string }) => type === "google.rpc.ErrorInfo")?.debug ?? {};
}

/** A person whose pages are at the public URL, whichever process answers. */
class Visitor extends Person {
  override headers(extra: Record<string, string> = {}) {
    return super.headers({ origin: publicUrl, ...extra });
  }

  /** The same browser, as the other process sees it. */
  at(server: TestServer): Visitor {
    const same = new Visitor(server);
    for (const [name, value] of this.cookies) same.cookies.set(name, value);
    return same;
  }

  /** Calls a method of any service. */
  async rpc(method: string, message: object = {}): Promise<Answer> {
    return await postJson(this.server, `/vestibule.v1.${method}`, message, this.headers());
  }

  async whoAmI() {
    return (await this.call("GetCurrentUser")).json.user;
  }
}

const authentication = (github: GithubSite, signup: object = {}) => ({
  callback_urls: ["https://app.example.org/callback"],
  oidc_config: { github: { client_id: "c", client_secret: "s", base_url: github.baseUrl } },
  ...signup,
});

/** Signs in at a site that is authoritative for no address. */
async function signInAtGithub(github: GithubSite, person: Person, email: string): Promise<Answer> {
  githubAccounts[email] ??= {
    user: { id: Object.keys(githubAccounts).length + 1, login: email },
    emails: [{ email, primary: true, verified: true }],
  };
  const begun = await person.call("Authenticate", { strategyName: "github" });
  const { searchParams } = github.approve(begun.json.endpoint, email);
  const [state, code] = [searchParams.get("state"), searchParams.get("code")];
  return await person.call("AuthCallback", { state, code });
}

/** Asks for a code and answers what ends the flow. */
async function askForCode(person: Person, email: string) {
  const before = listMails(person.server);
  const { state } = (await person.call("Authenticate", { strategyName: "mailotp", email })).json;
  return { state, code: findCode(await waitForMail(person.server, email, before, hasCode)) };
}

let github: GithubSite;
beforeAll(async () => {
  github = await startGithubSite(githubAccounts);
});
afterAll(() => github?.stop());

describe("an address that nobody has proven", () => {
  let state: ServerState;
  let a: TestServer;
  let b: TestServer;
  let count = 0;
  const newEmail = () => `ada-${count++}@example.org`;

  beforeAll(async () => {
    state = await createState("postgres");
    const env = { VESTIBULE_PUBLIC_URL: publicUrl, VESTIBULE_ADMIN_EMAILS: "root@example.org" };
    const config = { authentication: authentication(github) };
    [a, b] = await Promise.all([startServer({ state, env, config }), startServer({ state, env, config })]);
  });
  afterAll(async () => {
    await Promise.all([a?.kill(), b?.kill()]);
    await state?.remove();
  });

  const asRoot = (method: string, message: object) =>
    postJson(a, `/vestibule.v1.${method}`, message, basic(a));

  /** Somebody who came by GitHub, in a browser of their own. */
  async function unproven(email: string): Promise<Visitor> {
    const person = new Visitor(a);
    const answer = await signInAtGithub(github, person, email);
    expect(answer.status, answer.text).toBe(200);
    return person;
  }

  it("is said to be none, in messages and tokens, until a code has proven it", async () => {
    const email = newEmail();
    const person = await unproven(email);
    const { id } = await person.whoAmI();
    const member = { org_id: "default", user_id: id };
    const added = await asRoot("OrganizationService/AddMember", member);
    const seen = async () => {
      const { accessToken } = (await person.call("AuthToken")).json;
      const { members } = (await asRoot("OrganizationService/ListMembers", { org_id: "default" })).json;
      const introspected = await fetch(`${a.url}/oauth2/introspect`, {
        method: "POST",
        headers: basic(a),
        body: new URLSearchParams({ token: accessToken }),
      });
      return {
        own: (await person.whoAmI()).emailVerified,
        byRoot: (await asRoot("UserService/GetUser", { id })).json.user.emailVerified,
        member: members.find(({ userId }: { userId: string }) => userId === id).emailVerified,
        claim: decodeJwt(accessToken).email_verified,
        introspected: ((await introspected.json()) as Record<string, unknown>).email_verified,
      };
    };
    expect(added.json.member).not.toHaveProperty("emailVerified");
    // Absent in JSON is false.
    expect(await seen()).toEqual({ claim: false, introspected: false });
    expect((await person.call("AuthCallback", await askForCode(person, email))).status).toBe(200);
    expect(await seen()).toEqual({ own: true, byRoot: true, member: true, claim: true, introspected: true });
  });

  /** What would outlast a session, made in an organization that the caller manages. */
  async function makeAll(
    person: Visitor,
    given: { org: string; machine: string; secret: string; provider: string; frontdoor: string },
  ) {
    const of = { org_id: given.org, id: given.machine };
    const calls: [string, object][] = [
      ["OrganizationService/CreateOrganization", { body: { name: `made-${count++}` } }],
      ["ServiceUserService/CreateServiceUser", { org_id: given.org, body: { title: "m" } }],
      ["ServiceUserService/UpdateServiceUser", { ...of, body: { role: "viewer" } }],
      ["ServiceUserService/CreateServiceUserCredential", of],
      ["ServiceUserService/CreateServiceUserToken", of],
      ["ServiceUserService/CreateServiceUserJWK", of],
      ["ServiceUserService/RotateServiceUserCredential", { ...of, secret_id: given.secret }],
      ["FrontdoorAuthProviderService/CreateApiKey", { frontdoor_id: given.frontdoor, id: given.provider }],
      [
        "OrganizationService/SetMemberRole",
        { org_id: given.org, user_id: (await person.whoAmI()).id, role: "owner" },
      ],
    ];
    const outcomes: unknown[] = [];
    for (const [method, message] of calls) {
      const answer = await person.rpc(method, message);
      outcomes.push(answer.status === 200 ? 200 : infoOf(answer).reason);
    }
    return outcomes;
  }

  /** An organization with everything that credentials are made for. */
  async function newOrganization() {
    const org = `org-${count++}`;
    expect((await asRoot("OrganizationService/CreateOrganization", { body: { name: org } })).status).toBe(
      200,
    );
    const { serviceuser } = (await asRoot("ServiceUserService/CreateServiceUser", { org_id: org, body: {} }))
      .json;
    const of = { org_id: org, id: serviceuser.id };
    const { secret } = (await asRoot("ServiceUserService/CreateServiceUserCredential", of)).json;
    const { frontdoor } = (await asRoot("FrontdoorService/CreateFrontdoor", { organization_id: org })).json;
    const draft = { frontdoor_id: frontdoor.id, name: "keys", type: "API_KEY" };
    const made = await asRoot("FrontdoorAuthProviderService/CreateAuthProvider", draft);
    const provider = made.json.authProvider.id;
    return { org, machine: serviceuser.id, secret: secret.id, provider, frontdoor: frontdoor.id };
  }

  it("makes nothing that outlasts the session, at any process, until it is proven in that session", async () => {
    const email = newEmail();
    const person = await unproven(email);
    const { id } = await person.whoAmI();
    const given = await newOrganization();
    const added = { org_id: given.org, user_id: id, role: "owner" };
    expect((await asRoot("OrganizationService/AddMember", added)).status).toBe(200);
    const none = Array(9).fill("ADDRESS_UNPROVEN");
    expect(await makeAll(person, given)).toEqual(none);
    expect(await makeAll(person.at(b), given)).toEqual(none);
    // Passkeys, which go with the account, may be added.
    const begun = await person.call("Authenticate", { strategyName: "passkey" });
    expect(begun.json.stateOptions.type).toBe("register");

    const session = person.cookies.get("sid");
    expect((await person.call("AuthCallback", await askForCode(person, email))).status).toBe(200);
    expect(person.cookies.get("sid")).not.toBe(session);
    expect((await person.whoAmI()).id).toBe(id);
    const all = Array(9).fill(200);
    expect(await makeAll(person, given)).toEqual(all);
    await expect.poll(async () => (await person.at(b).whoAmI()).emailVerified).toBe(true);
    expect(await makeAll(person.at(b), given)).toEqual(all);
    // The identity is still theirs.
    const again = new Visitor(a);
    expect((await signInAtGithub(github, again, email)).status).toBe(200);
    expect((await again.whoAmI()).id).toBe(id);
  });

  it("hands the account over to whoever proves it from outside, and nothing that was put into it", async () => {
    const email = newEmail();
    const squatter = await unproven(email);
    const { id } = await squatter.whoAmI();
    const [alone, shared] = [await newOrganization(), await newOrganization()];
    const colleague = new Visitor(a);
    await colleague.signIn(newEmail());
    for (const { org } of [alone, shared]) {
      await asRoot("OrganizationService/AddMember", { org_id: org, user_id: id, role: "owner" });
    }
    const { id: colleagueId } = await colleague.whoAmI();
    await asRoot("OrganizationService/AddMember", {
      org_id: shared.org,
      user_id: colleagueId,
      role: "owner",
    });
    const { accessToken } = (await squatter.call("AuthToken")).json;

    const before = listMails(b);
    const owner = new Visitor(b);
    await owner.signIn(email);
    expect(await owner.whoAmI()).toMatchObject({ id, email, emailVerified: true });
    const { organizations = [] } = (await owner.rpc("OrganizationService/ListOrganizations")).json;
    expect(organizations).toEqual([]);
    expect((await owner.call("ListIdentities")).json.identities ?? []).toEqual([]);
    // Here it is refused at once, at the other process within a second.
    await expect.poll(async () => (await squatter.call("GetCurrentUser")).status).toBe(401);
    const bearer = { authorization: `Bearer ${accessToken}` };
    for (const server of [a, b]) {
      const answer = await postJson(server, "/vestibule.v1.AuthService/GetCurrentUser", {}, bearer);
      expect(answer.status).toBe(401);
    }
    const stateOf = async (org: string) =>
      (await asRoot("OrganizationService/GetOrganization", { id: org })).json.organization.state;
    expect([await stateOf(alone.org), await stateOf(shared.org)]).toEqual(["disabled", "enabled"]);

    const told = await waitForMail(b, email, before, (mail) => mail.includes("was emptied"));
    expect(told.replaceAll("=\n", "")).toMatch(/account at GitHub[\s\S]*memberships in organizations: 2/);
    const toRoot = await waitForMail(b, "root@example.org", before, (mail) =>
      mail.includes("disabled for want"),
    );
    expect(toRoot.replaceAll("=\n", "")).toContain(alone.org);
    expect(toRoot).not.toContain(`${shared.org} (`);
    const audited = await asRoot("AuditService/ListAuditRecords", { target_id: id });
    expect(audited.json.records).toContainEqual(expect.objectContaining({ action: "user.take_over" }));

    // Whoever had opened it is a stranger now.
    const again = new Visitor(a);
    expect(infoOf(await signInAtGithub(github, again, email)).reason).toBe("LINK_REQUIRED");
  });

  it("leaves no organization behind that is founded while the account is taken over", async () => {
    for (let round = 0; round < 5; round++) {
      const email = newEmail();
      const squatter = await unproven(email);
      const owner = new Visitor(b);
      const answer = await askForCode(owner, email);
      const found = (person: Visitor) =>
        person.rpc("OrganizationService/CreateOrganization", { body: { name: `raced-${count++}` } });
      const [taken, ...founded] = await Promise.all([
        owner.call("AuthCallback", answer),
        ...[squatter, squatter.at(b), squatter, squatter.at(b)].map(found),
      ]);
      expect(taken.status, taken.text).toBe(200);
      for (const each of founded) {
        expect(infoOf(each).reason).toMatch(/^(ADDRESS_UNPROVEN|NOT_AUTHENTICATED)$/);
      }
      const { organizations = [] } = (await owner.rpc("OrganizationService/ListOrganizations")).json;
      expect(organizations).toEqual([]);
    }
  });

  describe("on the pages", () => {
    const formHeaders = { "content-type": "application/x-www-form-urlencoded" };
    /** The form on a page that goes to a path, with its hidden fields. */
    const formOf = ({ text }: Answer, action: string): URLSearchParams => {
      const [, inside = ""] =
        new RegExp(`<form method="post" action="${action}"[^>]*>([\\s\\S]*?)</form>`).exec(text) ?? [];
      if (inside === "") throw new Error(`no form to ${action} in:\n${text}`);
      const fields = [...inside.matchAll(/type="hidden" name="(\w+)" value="([^"]*)"/g)];
      return new URLSearchParams(
        Object.fromEntries(fields.map(([, name = "", value = ""]) => [name, value])),
      );
    };
    const post = (person: Visitor, path: string, form: URLSearchParams) =>
      person.send(path, { method: "POST", headers: formHeaders, body: form.toString() });

    /** As far as the answer to the code. */
    async function typeCode(person: Visitor, email: string) {
      const before = listMails(a);
      const mail = formOf(await person.send("/login"), "/login/mail");
      for (const [name, value] of Object.entries({ email, strategy: "mailotp" })) mail.set(name, value);
      const sent = await post(person, "/login/mail", mail);
      const form = formOf(await person.send(String(sent.headers.location)), "/login/check-mail");
      form.set("code", findCode(await waitForMail(a, email, before, hasCode)));
      return await post(person, "/login/check-mail", form);
    }

    it("a right code asks whether the account is theirs, and offers to keep what is there", async () => {
      const email = newEmail();
      const squatter = await unproven(email);
      const person = new Visitor(a);
      const asked = await typeCode(person, email);
      expect([asked.status, person.cookies.has("sid")]).toEqual([200, false]);
      expect(asked.text).toContain("Sign in with GitHub first");
      expect((await squatter.call("GetCurrentUser")).status).toBe(200);
      // It leads to GitHub.
      const provider = formOf(asked, "/login/with");
      provider.set("strategy", "github");
      expect((await post(person, "/login/with", provider)).text).toContain(github.baseUrl);
      // Or on, by the same code.
      const taken = await post(person, "/login/check-mail", formOf(asked, "/login/check-mail"));
      expect([taken.status, taken.headers.location]).toEqual([303, "/account"]);
      expect(person.cookies.has("sid")).toBe(true);
      expect((await squatter.call("GetCurrentUser")).status).toBe(401);
      // Nobody is asked twice.
      expect((await typeCode(new Visitor(a), email)).status).toBe(303);
    });

    it("so does the button behind a mailed link", async () => {
      const email = newEmail();
      const squatter = await unproven(email);
      const person = new Visitor(a);
      const before = listMails(a);
      await person.call("Authenticate", { strategyName: "maillink", email });
      const { pathname, search } = findLink(await waitForMail(a, email, before, hasCode));
      const confirm = formOf(await person.send(pathname + search), "/auth/callback");
      const asked = await post(person, "/auth/callback", confirm);
      expect(asked.text).toContain("Sign in with GitHub first");
      expect([(await squatter.call("GetCurrentUser")).status, person.cookies.has("sid")]).toEqual([
        200,
        false,
      ]);
      const taken = await post(person, "/auth/callback", formOf(asked, "/auth/callback"));
      expect([taken.status, person.cookies.has("sid")]).toEqual([303, true]);
      expect((await squatter.call("GetCurrentUser")).status).toBe(401);
    });

    it("the account's own page has it confirmed, and everything is kept", async () => {
      const email = newEmail();
      const person = await unproven(email);
      const { id } = await person.whoAmI();
      const account = await person.send("/account");
      expect(account.text).toContain("Confirm your address");
      const form = formOf(account, "/login/mail");
      form.set("strategy", "mailotp");
      const before = listMails(a);
      const sent = await post(person, "/login/mail", form);
      const typed = formOf(await person.send(String(sent.headers.location)), "/login/check-mail");
      typed.set("code", findCode(await waitForMail(a, email, before, hasCode)));
      expect((await post(person, "/login/check-mail", typed)).headers.location).toBe("/account");
      expect(await person.whoAmI()).toMatchObject({ id, emailVerified: true });
      expect((await person.call("ListIdentities")).json.identities).toHaveLength(1);
      expect((await person.send("/account")).text).not.toContain("Confirm your address");
    });
  });
});

describe.each([{ mode: "domains", domains: ["example.org"] }, { mode: "invited" }])(
  "signing up where not everybody may ($mode)",
  (signup) => {
    let server: TestServer;
    beforeAll(async () => {
      server = await startServer({ config: { authentication: authentication(github, { signup }) } });
    });
    afterAll(() => server?.[Symbol.asyncDispose]());

    it("takes a mailed code where the provider is not authoritative for the address", async () => {
      const email = "guest@example.org";
      await postJson(server, "/vestibule.v1.UserService/InviteUser", { email }, basic(server));
      for (const [address, status] of [
        [email, 200],
        ["mallory@elsewhere.example", 403],
      ] as const) {
        const person = new Person(server);
        const before = listMails(server);
        const asked = await signInAtGithub(github, person, address);
        const { reason, metadata } = infoOf(asked);
        expect([asked.status, reason, metadata?.email]).toEqual([400, "LINK_REQUIRED", address]);
        expect(person.cookies.has("sid")).toBe(false);
        const code = findCode(await waitForMail(server, address, before, hasCode));
        const ended = await person.call("AuthCallback", { state: metadata?.state, code });
        expect([ended.status, infoOf(ended).reason]).toEqual([
          status,
          status === 200 ? undefined : "SIGNUP_CLOSED",
        ]);
        const { user } = (await person.call("GetCurrentUser")).json;
        expect(user?.emailVerified).toBe(status === 200 ? true : undefined);
        // From then on the identity alone is enough.
        const again = await signInAtGithub(github, new Person(server), address);
        expect(infoOf(again).reason).toBe(status === 200 ? undefined : "LINK_REQUIRED");
      }
    });
  },
);
