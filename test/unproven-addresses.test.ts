/** What an address that nobody has proven is worth: over the wire, at two processes on one Postgres. */
import { decodeJwt } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type GithubAccount, type GithubSite, startGithubSite } from "./parts/github-site.ts";
import { type Answer, basic, postJson } from "./parts/http.ts";
import { findCode, hasCode, listMails, Person, waitForMail } from "./parts/person.ts";
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
    const config = { limits: { mails_per_address_per_hour: 1000 }, authentication: authentication(github) };
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
