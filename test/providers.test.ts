/** Identity providers over the wire: a real OpenID provider, a second one, and a site like GitHub. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SoftAuthenticator } from "./parts/authenticator.ts";
import { type GithubSite, startGithubSite } from "./parts/github-site.ts";
import type { Answer } from "./parts/http.ts";
import { basic, postJson } from "./parts/http.ts";
import { type IdentityProvider, startIdentityProvider, walkRedirects } from "./parts/identity-provider.ts";
import { countMails, findCode, listMails, Person, waitForMail } from "./parts/person.ts";
import { findFreePort, startServer, type TestServer } from "./parts/server.ts";

const unusable = { code: "failed_precondition" };
const emailOf = (email: string, verified = true, primary = true) => ({ email, primary, verified });

/** Reason and metadata of a refusal. */
function infoOf({ json }: Answer): { reason?: string; metadata?: Record<string, string> } {
  const { details = [] } = json ?? {};
  return details.find(({ type }: { type: string }) => type === "google.rpc.ErrorInfo")?.debug ?? {};
}

/** A client's page, which calls `AuthCallback`. */
const appPage = "https://app.example.org/callback";

/** The URL of ours where a provider is answered. */
const toOwnUrl = (port: number, name: string) => `http://localhost:${port}/auth/callback/${name}`;

/** Goes to a provider and comes back, as far as the callback URL. The account's id is its address. */
async function visit(person: Person, strategyName: string, email: string, callbackUrl = appPage) {
  const begun = await person.call("Authenticate", { strategyName, email, callbackUrl });
  expect(begun.json, begun.text).toHaveProperty("endpoint");
  const back = await walkRedirects(begun.json.endpoint, callbackUrl);
  return { state: begun.json.state as string, code: back.searchParams.get("code") ?? "", back };
}

/** As {@link visit}: what the page that is come back to calls `AuthCallback` with. */
async function goTo(...visited: Parameters<typeof visit>) {
  const { state, code } = await visit(...visited);
  return { state, code };
}

/** Signs in at the site as one of its accounts. */
async function goToGithub(github: GithubSite, person: Person, login: string): Promise<Answer> {
  const begun = await person.call("Authenticate", { strategyName: "github", callbackUrl: appPage });
  const { searchParams } = github.approve(begun.json.endpoint, login);
  return await person.call("AuthCallback", {
    state: searchParams.get("state"),
    code: searchParams.get("code"),
  });
}

const toClient = ({ issuer, clientId, clientSecret }: IdentityProvider) => ({
  issuer_url: issuer,
  client_id: clientId,
  client_secret: clientSecret,
});

describe.each(["sqlite", "postgres"] as const)("identity providers (%s)", (database) => {
  let server: TestServer;
  let acme: IdentityProvider;
  let other: IdentityProvider;
  let github: GithubSite;
  let count = 0;
  const newEmail = () => `ada-${count++}@example.org`;

  // What the providers say is put in as tests go; both know the same people.
  const accounts: Record<string, Record<string, unknown>> = {};
  const githubAccounts: Parameters<typeof startGithubSite>[0] & Record<string, unknown> = {};

  beforeAll(async () => {
    const port = await findFreePort();
    acme = await startIdentityProvider({ accounts, redirectUris: [appPage, toOwnUrl(port, "acme")] });
    other = await startIdentityProvider({ accounts, redirectUris: [appPage, toOwnUrl(port, "other")] });
    github = await startGithubSite(githubAccounts);
    server = await startServer({
      database,
      port,
      env: { VESTIBULE_ADMIN_EMAILS: "root@example.org" },
      config: {
        authentication: {
          callback_urls: [appPage],
          oidc_config: {
            acme: { ...toClient(acme), authoritative_domains: ["acme.example"] },
            other: toClient(other),
            github: { client_id: "c", client_secret: "s", base_url: github.baseUrl },
          },
        },
      },
    });
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    await Promise.all([acme?.stop(), other?.stop(), github?.stop()]);
  });
  const whoIs = async (person: Person) => (await person.call("GetCurrentUser")).json.user;
  const mailsTo = (email: string) => countMails(server, email);

  it("ask for the mailbox of an account that is there, link, and sign in alone from then on (C8)", async () => {
    const email = newEmail();
    accounts[email] = { email, email_verified: true, name: "Ada" };
    const owner = new Person(server);
    await owner.signIn(email);
    const { id } = await whoIs(owner);

    const person = new Person(server);
    const { state, code } = await goTo(person, "acme", email);
    const before = listMails(server);
    const asked = await person.call("AuthCallback", { state, code });
    expect(asked.json).toMatchObject({ code: "failed_precondition" });
    expect(asked.headers["set-cookie"]).toBeUndefined();
    const { reason, metadata = {} } = infoOf(asked);
    expect([reason, metadata.strategy_name, metadata.email]).toEqual(["LINK_REQUIRED", "mailotp", email]);
    expect((await person.call("GetCurrentUser")).status).toBe(401);
    // The flow that led here is over, and its code is used.
    expect((await person.call("AuthCallback", { state, code })).json.message).toBe("invalid flow or expired");

    const linkMail = await waitForMail(server, email, before);
    expect(linkMail.replaceAll("=\n", "")).toContain("lets the account at Acme");
    const linkCode = findCode(linkMail);
    const link = { state: metadata.state, code: linkCode };
    const stranger = new Person(server);
    await stranger.call("Authenticate", { strategyName: "acme" });
    expect((await stranger.call("AuthCallback", link)).json.message).toBe("invalid auth state");
    const asAcme = await person.call("AuthCallback", { ...link, strategyName: "acme" });
    expect(asAcme.json.message).toBe("invalid auth state");
    expect((await person.call("AuthCallback", { ...link, strategyName: "mailotp" })).status).toBe(200);
    expect(await whoIs(person)).toMatchObject({ id, email });

    const mails = mailsTo(email);
    const later = new Person(server);
    expect((await later.call("AuthCallback", await goTo(later, "acme", email))).status).toBe(200);
    expect((await whoIs(later)).id).toBe(id);
    expect(mailsTo(email)).toBe(mails);
  });

  it("link by themselves only what they are authoritative for", async () => {
    const email = `ada-${count++}@acme.example`;
    accounts[email] = { email, email_verified: true };
    const owner = new Person(server);
    await owner.signIn(email);
    const person = new Person(server);
    expect((await person.call("AuthCallback", await goTo(person, "acme", email))).status).toBe(200);
    expect((await whoIs(person)).id).toBe((await whoIs(owner)).id);
    const elsewhere = new Person(server);
    const refused = await elsewhere.call("AuthCallback", await goTo(elsewhere, "other", email));
    expect(infoOf(refused).reason).toBe("LINK_REQUIRED");
  });

  it.each([
    [false, "acme.example"],
    ["yes", "acme.example"],
    [null, "example.org"],
    [undefined, "example.org"],
  ])("are not believed when email_verified is %j, of an address at %s (C8)", async (verified, domain) => {
    const email = `ada-${count++}@${domain}`;
    accounts[email] = { email, ...(verified !== undefined && { email_verified: verified }) };
    await new Person(server).signIn(email);
    const person = new Person(server);
    const refused = await person.call("AuthCallback", await goTo(person, "acme", email));
    expect(infoOf(refused).reason).toBe("LINK_REQUIRED");
    expect(person.cookies.has("sid")).toBe(false);
  });

  it.each(["true", null, undefined])(
    "are believed about their domains when email_verified is %j",
    async (verified) => {
      const email = `ada-${count++}@acme.example`;
      accounts[email] = { email, ...(verified !== undefined && { email_verified: verified }) };
      const owner = new Person(server);
      await owner.signIn(email);
      const person = new Person(server);
      expect((await person.call("AuthCallback", await goTo(person, "acme", email))).status).toBe(200);
      expect((await whoIs(person)).id).toBe((await whoIs(owner)).id);
    },
  );

  it("make nobody a superuser by an address they are not authoritative for", async () => {
    const email = "root@example.org";
    accounts[email] = { email, email_verified: true };
    const person = new Person(server);
    expect((await person.call("AuthCallback", await goTo(person, "acme", email))).status).toBe(200);
    const list = () => postJson(server, "/vestibule.v1.UserService/ListUsers", {}, person.headers());
    expect((await list()).status).toBe(403);
    const { accessToken } = (await person.call("AuthToken")).json;
    const bearer = { authorization: `Bearer ${accessToken}` };
    expect((await postJson(server, "/vestibule.v1.UserService/ListUsers", {}, bearer)).status).toBe(403);
  });

  it("give up what was opened under an address to whoever proves it", async () => {
    const email = newEmail();
    accounts[email] = { email, email_verified: true };
    const squatter = new Person(server);
    expect((await squatter.call("AuthCallback", await goTo(squatter, "acme", email))).status).toBe(200);
    const { accessToken } = (await squatter.call("AuthToken")).json;
    const owner = new Person(server);
    await owner.signIn(email);
    expect((await squatter.call("GetCurrentUser")).status).toBe(401);
    const bearer = { authorization: `Bearer ${accessToken}` };
    expect((await postJson(server, "/vestibule.v1.AuthService/GetCurrentUser", {}, bearer)).status).toBe(401);
    const again = new Person(server);
    const refused = await again.call("AuthCallback", await goTo(again, "acme", email));
    expect(infoOf(refused).reason).toBe("LINK_REQUIRED");
  });

  it("do not answer for each other (C7)", async () => {
    const email = newEmail();
    accounts[email] = { email, email_verified: true };
    const person = new Person(server);
    const ownUrl = (name: string) => toOwnUrl(server.port, name);
    const atAcme = await goTo(person, "acme", email);
    const atOther = await goTo(person, "other", email);

    // Everything of A, called B's: refused before anything is used up.
    const renamed = { state: atAcme.state, code: atAcme.code, strategyName: "other" };
    expect((await person.call("AuthCallback", renamed)).json.message).toBe("invalid auth state");
    // A's state with B's code, where A is answered.
    const [{ state }, { code }] = [
      await goTo(person, "acme", email, ownUrl("acme")),
      await goTo(person, "other", email, ownUrl("other")),
    ];
    const crossed = await person.send(
      `/auth/callback/acme?state=${state}&code=${code}&iss=${encodeURIComponent(acme.issuer)}`,
    );
    expect([crossed.status, crossed.headers["set-cookie"]]).toEqual([400, undefined]);
    // B's own answer under A's name (RFC 9207).
    const named = { state: atOther.state, code: atOther.code, stateOptions: { iss: acme.issuer } };
    expect(infoOf(await person.call("AuthCallback", named)).reason).toBe("PROVIDER_PROVES_NOTHING");
    expect(person.cookies.has("sid")).toBe(false);

    const good = await visit(person, "other", email, ownUrl("other"));
    const ended = await person.send(good.back.pathname + good.back.search);
    expect([ended.status, ended.headers.location]).toEqual([303, `http://localhost:${server.port}/account`]);
    expect((await person.send(good.back.pathname + good.back.search)).headers["set-cookie"]).toBeUndefined();
  });

  it("are answered at a URL of their own each, and nowhere else; GitHub as well", async () => {
    const email = newEmail();
    Object.assign(githubAccounts, { own: { user: { id: 77, login: "own" }, emails: [emailOf(email)] } });
    const person = new Person(server);
    const callbackUrl = toOwnUrl(server.port, "github");
    for (const other of [toOwnUrl(server.port, "acme"), `http://localhost:${server.port}/auth/callback`]) {
      const refused = await person.call("Authenticate", { strategyName: "github", callbackUrl: other });
      expect(infoOf(refused).reason).toBe("REDIRECT_NOT_ALLOWED");
    }
    const { endpoint } = (await person.call("Authenticate", { strategyName: "github", callbackUrl })).json;
    const { pathname, search, searchParams } = github.approve(endpoint, "own");
    expect(pathname).toBe("/auth/callback/github");
    const answer = { state: searchParams.get("state"), code: searchParams.get("code") };
    expect(infoOf(await person.call("AuthCallback", answer)).reason).toBe("INVALID_AUTH_STATE");
    for (const elsewhere of ["/auth/callback", "/auth/callback/acme"]) {
      expect((await person.send(elsewhere + search)).status).toBe(400);
    }
    expect((await person.send(`/auth/callback/nobody${search}`)).status).toBe(404);
    expect((await person.send(pathname + search)).status).toBe(303);
    expect((await whoIs(person)).email).toBe(email);
  });

  it("are answered in the browser that asked, once (C6)", async () => {
    const email = newEmail();
    accounts[email] = { email, email_verified: true };
    const [person, victim] = [new Person(server), new Person(server)];
    const { back } = await visit(person, "acme", email, toOwnUrl(server.port, "acme"));
    await victim.call("Authenticate", { strategyName: "acme" });
    for (const browser of [victim, new Person(server)]) {
      const answer = await browser.send(back.pathname + back.search);
      expect([answer.status, answer.headers["set-cookie"]]).toEqual([400, undefined]);
    }
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => {
        const tab = new Person(server);
        tab.cookies.set("vestibule_browser", person.cookies.get("vestibule_browser") ?? "");
        return tab.send(back.pathname + back.search);
      }),
    );
    const sessions = answers.filter(({ headers }) => `${headers["set-cookie"]}`.startsWith("sid="));
    expect(sessions).toHaveLength(1);
  });

  it("tell of an account by number, and of its primary address if it is verified (C9)", async () => {
    const [primary, second, hidden] = [newEmail(), newEmail(), newEmail()];
    Object.assign(githubAccounts, {
      several: {
        user: { id: 1, login: "several", email: second },
        emails: [emailOf(second, true, false), emailOf(primary), emailOf(newEmail(), false, false)],
      },
      private: { user: { id: 2, login: "private", email: null }, emails: [emailOf(hidden)] },
      unverified: {
        user: { id: 3, login: "unverified", email: primary },
        emails: [emailOf(primary, false), emailOf(newEmail(), true, false)],
      },
      empty: { user: { id: 4, login: "empty" }, emails: [] },
    });
    const several = new Person(server);
    expect((await goToGithub(github, several, "several")).status).toBe(200);
    expect(await whoIs(several)).toMatchObject({ email: primary, title: "several" });
    const concealed = new Person(server);
    expect((await goToGithub(github, concealed, "private")).status).toBe(200);
    expect((await whoIs(concealed)).email).toBe(hidden);
    for (const login of ["unverified", "empty"]) {
      const person = new Person(server);
      const refused = await goToGithub(github, person, login);
      expect([refused.json, infoOf(refused).reason]).toMatchObject([unusable, "EMAIL_REQUIRED"]);
      expect(person.cookies.has("sid")).toBe(false);
    }
    expect(github.exchanges.every((form) => (form.get("code_verifier") ?? "").length >= 43)).toBe(true);
    // A name given to somebody else is another account; an address that moved is the same.
    Object.assign(githubAccounts, {
      several: { user: { id: 5, login: "several" }, emails: [emailOf(newEmail())] },
      renamed: { user: { id: 1, login: "renamed" }, emails: [emailOf(newEmail())] },
    });
    const [reused, renamed] = [new Person(server), new Person(server)];
    expect((await goToGithub(github, reused, "several")).status).toBe(200);
    expect((await goToGithub(github, renamed, "renamed")).status).toBe(200);
    const { id } = await whoIs(several);
    expect((await whoIs(renamed)).id).toBe(id);
    expect((await whoIs(reused)).id).not.toBe(id);
  });

  describe("once linked", () => {
    const unknown = { code: "not_found", message: "identity doesn't exist" };
    const last = { code: "failed_precondition", message: "nothing else would open the account" };
    const linked = async (person: Person) => (await person.call("ListIdentities")).json.identities ?? [];
    const keyOf = ({ issuer, subject }: { issuer: string; subject: string }) => ({ issuer, subject });

    /** Somebody whose account a provider opened, with an address that it is not authoritative for. */
    async function openedByProvider() {
      const email = newEmail();
      accounts[email] = { email, email_verified: true };
      const person = new Person(server);
      await person.call("AuthCallback", await goTo(person, "other", email));
      const [identity] = await linked(person);
      return { person, email, key: keyOf(identity) };
    }

    async function addPasskey(person: Person): Promise<string> {
      const device = new SoftAuthenticator({ origin: `http://localhost:${server.port}` });
      const { state, stateOptions } = (await person.call("Authenticate", { strategyName: "passkey" })).json;
      const options = device.create(stateOptions.options);
      expect((await person.call("AuthCallback", { state, stateOptions: { options } })).status).toBe(200);
      return (await person.call("ListPasskeys")).json.passkeys[0].id;
    }

    it("are listed and unlinked by their owner alone, who is told by mail", async () => {
      const email = `ada-${count++}@acme.example`;
      accounts[email] = { email, email_verified: true };
      const person = new Person(server);
      await person.signIn(email);
      expect(await linked(person)).toEqual([]);
      await person.call("AuthCallback", await goTo(person, "acme", email));
      const [identity] = await linked(person);
      const key = { issuer: acme.issuer, subject: email };
      expect(identity).toEqual({ strategyName: "acme", ...key, email, createdAt: expect.any(String) });

      const stranger = new Person(server);
      await stranger.signIn(newEmail());
      expect((await stranger.call("UnlinkIdentity", key)).json).toMatchObject(unknown);
      const other = { ...key, issuer: `${acme.issuer}/` };
      expect((await person.call("UnlinkIdentity", other)).json).toMatchObject(unknown);
      expect((await person.call("UnlinkIdentity", { issuer: acme.issuer })).json.message).toContain(
        "subject",
      );
      const path = "/vestibule.v1.AuthService/UnlinkIdentity";
      expect((await postJson(server, path, key, basic(server))).json.code).toBe("permission_denied");
      expect(await linked(person)).toHaveLength(1);

      const before = listMails(server);
      expect(await person.call("UnlinkIdentity", key)).toMatchObject({ status: 200, json: {} });
      expect(await waitForMail(server, email, before)).toContain("A way to sign in was removed");
      expect(await linked(person)).toEqual([]);
      expect((await person.call("UnlinkIdentity", key)).json).toMatchObject(unknown);
      const listRecords = "/vestibule.v1.AuditService/ListAuditRecords";
      const { records } = (await postJson(server, listRecords, { action: "identity.unlink" }, basic(server)))
        .json;
      expect(records[0]).toMatchObject({ details: { issuer: acme.issuer, strategy: "acme" } });
      // The session that it began lives on.
      expect((await person.call("GetCurrentUser")).status).toBe(200);
    });

    it("keep the last way into an account whose address nobody has proven", async () => {
      const { person, email, key } = await openedByProvider();
      expect((await person.call("UnlinkIdentity", key)).json).toMatchObject(last);
      const id = await addPasskey(person);
      expect((await person.call("UnlinkIdentity", key)).status).toBe(200);
      expect((await person.call("DeletePasskey", { id })).json).toMatchObject(last);
      // What it takes is a proof of the mailbox, which in its own session keeps all of it.
      await expect.poll(() => countMails(server, email)).toBe(2);
      await person.signIn(email);
      expect((await person.call("ListPasskeys")).json.passkeys).toMatchObject([{ id }]);
      expect((await person.call("DeletePasskey", { id })).status).toBe(200);
    });

    it("leave one way in when both are given up at once", async () => {
      const { person, key } = await openedByProvider();
      const id = await addPasskey(person);
      const answers = await Promise.all([
        person.call("UnlinkIdentity", key),
        person.call("DeletePasskey", { id }),
      ]);
      expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 400]);
      expect(answers.find(({ status }) => status === 400)?.json).toMatchObject(last);
    });
  });

  it("let nobody in who is disabled, and tell so", async () => {
    const email = newEmail();
    accounts[email] = { email, email_verified: true };
    const person = new Person(server);
    expect((await person.call("AuthCallback", await goTo(person, "acme", email))).status).toBe(200);
    const { id } = await whoIs(person);
    await postJson(server, "/vestibule.v1.UserService/DisableUser", { id }, basic(server));
    const later = new Person(server);
    const refused = await later.call("AuthCallback", await goTo(later, "acme", email));
    expect(refused.json).toMatchObject({ code: "permission_denied", message: "not authorized" });
  });
});

describe("identity providers in trouble", () => {
  const email = "ada@example.org";
  const account = { user: { id: 1 }, emails: [emailOf("grace@example.org")] };
  const silentMs = 3_600_000;
  let server: TestServer;
  let acme: IdentityProvider;
  let fresh: IdentityProvider;
  let github: GithubSite;

  beforeAll(async () => {
    const port = await findFreePort();
    const options = {
      accounts: { [email]: { email, email_verified: true } },
      redirectUris: [appPage],
    };
    acme = await startIdentityProvider(options);
    fresh = await startIdentityProvider(options);
    github = await startGithubSite({ grace: account });
    const absent = {
      issuer_url: `http://127.0.0.1:${await findFreePort()}`,
      client_id: "c",
      client_secret: "s",
    };
    const oidc_config = {
      acme: toClient(acme),
      fresh: toClient(fresh),
      absent,
      github: { client_id: "c", client_secret: "s", base_url: github.baseUrl },
    };
    server = await startServer({
      port,
      config: { authentication: { callback_urls: [appPage], oidc_config } },
    });
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    await Promise.all([acme?.stop(), fresh?.stop(), github?.stop()]);
  });

  const unavailable = (name: string) => ({
    status: 503,
    json: {
      code: "unavailable",
      message: `identity provider ${name} cannot be reached, try again or sign in another way`,
    },
  });

  async function timed(call: Promise<Answer>): Promise<Answer> {
    const startedAt = performance.now();
    const answer = await call;
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    return answer;
  }

  it("are unavailable by name at the start of a sign-in, and leave no flow", async () => {
    const person = new Person(server);
    const refused = await timed(person.call("Authenticate", { strategyName: "absent" }));
    expect(refused).toMatchObject(unavailable("absent"));
    expect(refused.headers["set-cookie"]).toBeUndefined();
    await new Person(server).signIn("eve@example.org");
  });

  it("are unavailable by name at the end of one, whose flow is over", async () => {
    const person = new Person(server);
    const { state, code } = await goTo(person, "acme", email);
    acme.setDown(true);
    const refused = await timed(person.call("AuthCallback", { state, code }));
    expect(refused).toMatchObject(unavailable("acme"));
    acme.setDown(false);
    const late = await person.call("AuthCallback", { state, code });
    expect(late.json.message).toBe("invalid flow or expired");
    expect((await person.call("AuthCallback", await goTo(person, "acme", email))).status).toBe(200);
  });

  it("are given up within ten seconds where they say nothing, or a little at each step", async () => {
    const [first, second, third] = [new Person(server), new Person(server), new Person(server)];
    const atAcme = await goTo(first, "acme", email);
    acme.setDelay(silentMs);
    fresh.setDelay(silentMs);
    // Two requests, the second of them only after the first.
    github.setDelay(6_000);
    const calls = [
      timed(first.call("AuthCallback", { state: atAcme.state, code: atAcme.code })),
      timed(second.call("Authenticate", { strategyName: "fresh" })),
      timed(goToGithub(github, third, "grace")),
    ];
    // Nobody else waits for them.
    await new Person(server).signIn("bob@example.org");
    const answers = await Promise.all(calls);
    expect(answers).toMatchObject([unavailable("acme"), unavailable("fresh"), unavailable("github")]);
    // While one that is silent cools down, it is asked no more and nobody waits again.
    const asked = fresh.requests.length;
    expect(await second.call("Authenticate", { strategyName: "fresh" })).toMatchObject(unavailable("fresh"));
    expect(fresh.requests.length).toBe(asked);
    acme.setDelay(0);
    github.setDelay(0);
    expect((await first.call("AuthCallback", await goTo(first, "acme", email))).status).toBe(200);
    expect((await goToGithub(github, third, "grace")).status).toBe(200);
  });
});
