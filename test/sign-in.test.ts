/** People sign in, from outside: over the wire, with cookies and mail, on both databases. */
import { decodeJwt } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { basic, postJson } from "./parts/http.ts";
import { countMails, findCode, findLink, listMails, Person, waitForMail } from "./parts/person.ts";
import { createState, type ServerState, startServer, type TestServer } from "./parts/server.ts";

const admin = "root@example.org";
const config = {
  // Everybody here has one address.
  authentication: {
    authorized_redirect_urls: ["https://app.example.org/home"],
    frontier_hidden_strategies: ["maillink", "passkey"],
  },
};

describe.each(["sqlite", "postgres"] as const)("signing in (%s)", (database) => {
  let server: TestServer;

  beforeAll(async () => {
    server = await startServer({ database, config, env: { VESTIBULE_ADMIN_EMAILS: admin } });
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  let count = 0;
  const newEmail = () => `ada-${count++}@example.org`;

  async function signedIn(email = newEmail()): Promise<Person> {
    const person = new Person(server);
    await person.signIn(email);
    return person;
  }

  async function beginByLink(person: Person, email: string) {
    const before = listMails(server);
    const begun = await person.call("Authenticate", { strategyName: "maillink", email });
    expect(begun.status).toBe(200);
    const mail = await waitForMail(server, email, before);
    const { pathname, search, origin, searchParams } = findLink(mail);
    return { mail, origin, path: pathname + search, state: begun.json.state, params: searchParams };
  }

  const formHeaders = { "content-type": "application/x-www-form-urlencoded" };
  const toInputs = (html: string) =>
    new URLSearchParams(
      Object.fromEntries(
        [...html.matchAll(/name="(\w+)" value="([^"]*)"/g)].map(([, name = "", value = ""]) => [name, value]),
      ),
    );

  it("lists the strategies, those hidden left out for Frontier's clients", async () => {
    const own = await postJson(server, "/vestibule.v1.AuthService/ListAuthStrategies", {});
    const names = (answer: typeof own) => answer.json.strategies.map(({ name }: { name: string }) => name);
    expect(names(own)).toEqual(["mailotp", "maillink", "passkey"]);
    const alias = await postJson(server, "/raystack.frontier.v1beta1.FrontierService/ListAuthStrategies", {});
    expect(names(alias)).toEqual(["mailotp"]);
  });

  it("signs in by a mailed code, and says who it is", async () => {
    const email = newEmail();
    const person = new Person(server);
    const begun = await person.call("Authenticate", { strategyName: "mailotp", email });
    expect([begun.headers["set-cookie"]].flat()).toEqual([
      expect.stringMatching(/^vestibule_browser=[\w-]{43}; Max-Age=86400; Path=\/; HttpOnly; SameSite=Lax$/),
    ]);
    const code = findCode(await waitForMail(server, email));
    const ended = await person.call("AuthCallback", { state: begun.json.state, code });
    expect(ended.json).toEqual({});
    expect([ended.headers["set-cookie"]].flat()).toEqual([
      expect.stringMatching(
        /^sid=[\w-]{123}; Max-Age=2592000; Expires=[^;]+; Path=\/; HttpOnly; SameSite=Lax$/,
      ),
      expect.stringMatching(
        /^vestibule_device=[\w-]{43}; Max-Age=15552000; Path=\/; HttpOnly; SameSite=Lax$/,
      ),
    ]);
    const { json } = await person.call("GetCurrentUser");
    expect(json.user).toMatchObject({ email, state: "enabled" });
    expect(JSON.stringify(json)).not.toContain("handle");
  });

  it("answers known and unknown addresses alike", async () => {
    const known = newEmail();
    await signedIn(known);
    const shapes = [];
    for (const email of [known, newEmail()]) {
      const { status, json, headers } = await new Person(server).call("Authenticate", {
        strategyName: "mailotp",
        email,
      });
      shapes.push([status, Object.keys(json), json.state.length, Object.keys(headers).toSorted()]);
    }
    expect(shapes[0]).toEqual(shapes[1]);
  });

  it("sends three mails an hour from one network to a mailbox, and answers the same after that", async () => {
    const email = newEmail();
    for (let times = 0; times < 7; times++) {
      const { status } = await new Person(server).call("Authenticate", { strategyName: "mailotp", email });
      expect(status).toBe(200);
    }
    await expect.poll(() => countMails(server, email)).toBe(3);
    await signedIn();
    expect(countMails(server, email)).toBe(3);
  });

  it("keeps its browser over tabs, and flows apart", async () => {
    const person = new Person(server);
    const first = await person.call("Authenticate", { strategyName: "mailotp", email: newEmail() });
    const browser = person.cookies.get("vestibule_browser");
    const second = await person.call("Authenticate", { strategyName: "mailotp", email: newEmail() });
    expect(person.cookies.get("vestibule_browser")).toBe(browser);
    expect(first.json.state).not.toBe(second.json.state);
  });

  it("gives a session an access token that ends with it, at once", async () => {
    const email = newEmail();
    const person = await signedIn(email);
    const { json } = await person.call("AuthToken");
    const claims = decodeJwt(json.accessToken);
    expect(claims).toMatchObject({ email, org_ids: "", auth_via: "session", sub_type: "app/user" });
    expect(claims.sid).toBe(claims.session_id);
    const bearer = { authorization: `Bearer ${json.accessToken}` };
    const whoami = () => postJson(server, "/vestibule.v1.AuthService/GetCurrentUser", {}, bearer);
    expect((await whoami()).json.user.email).toBe(email);
    const again = await postJson(server, "/vestibule.v1.AuthService/AuthToken", {}, bearer);
    expect(again.status).toBe(401);
    await person.call("AuthLogout");
    expect(await whoami()).toMatchObject({
      status: 401,
      json: { code: "unauthenticated", message: "not authenticated" },
    });
  });

  it("ends a person's session when its token is revoked", async () => {
    const person = await signedIn();
    const { json } = await person.call("AuthToken");
    const answer = await person.send("/oauth2/revoke", {
      method: "POST",
      headers: { ...formHeaders, authorization: `Bearer ${json.accessToken}` },
      body: `token=${json.accessToken}`,
    });
    expect(answer.status).toBe(200);
    expect((await person.call("GetCurrentUser")).status).toBe(401);
  });

  it("signs out, always, and clears the cookie", async () => {
    const person = await signedIn();
    const cookie = person.cookies.get("sid") ?? "";
    const answer = await person.call("AuthLogout");
    expect([answer.headers["set-cookie"]].flat()).toEqual([expect.stringMatching(/^sid=; Max-Age=0; /)]);
    for (const sid of [cookie, "garbage", ""]) {
      const dead = new Person(server);
      dead.cookies.set("sid", sid);
      expect((await dead.call("GetCurrentUser")).status).toBe(401);
      expect((await dead.call("AuthLogout")).status).toBe(200);
      expect(dead.cookies.has("sid")).toBe(false);
    }
  });

  it("takes a dead cookie for none when signing in, and clears it, from a shell as well", async () => {
    const message = { strategyName: "mailotp", email: newEmail() };
    for (const origin of [{}, { origin: `http://localhost:${server.port}` }]) {
      const headers = { cookie: "sid=dead", ...origin };
      const answer = await postJson(server, "/vestibule.v1.AuthService/Authenticate", message, headers);
      expect(answer.status).toBe(200);
      expect(answer.headers["set-cookie"]).toContainEqual(expect.stringMatching(/^sid=; Max-Age=0; /));
      expect((await postJson(server, "/vestibule.v1.AuthService/AuthLogout", {}, headers)).status).toBe(200);
    }
  });

  it("takes a dead cookie for none wherever no credential is needed, and clears it", async () => {
    const services = ["vestibule.v1.AuthService", "raystack.frontier.v1beta1.FrontierService"];
    const methods = services.flatMap((service) => [`${service}/ListAuthStrategies`, `${service}/GetJWKs`]);
    const ended = await signedIn();
    const gone = `sid=${ended.cookies.get("sid")}`;
    await ended.call("AuthLogout");
    for (const method of methods) {
      for (const cookie of ["sid=dead", gone]) {
        const answer = await postJson(server, `/${method}`, {}, { cookie });
        expect(answer.status).toBe(200);
        expect([answer.headers["set-cookie"]].flat()).toEqual([expect.stringMatching(/^sid=; Max-Age=0; /)]);
      }
    }
    const live = await signedIn();
    for (const headers of [{}, { cookie: `sid=${live.cookies.get("sid")}` }]) {
      for (const method of methods) {
        const answer = await postJson(server, `/${method}`, {}, headers);
        expect([answer.status, answer.headers["set-cookie"]]).toEqual([200, undefined]);
      }
    }
  });

  it("replaces the session it came with", async () => {
    const email = newEmail();
    const person = await signedIn(email);
    const old = new Person(server);
    old.cookies.set("sid", person.cookies.get("sid") ?? "");
    await person.signIn(email);
    expect((await old.call("GetCurrentUser")).status).toBe(401);
    expect((await person.call("ListSessions")).json.sessions).toHaveLength(1);
  });

  it("lists sessions, ends one, ends all", async () => {
    const email = newEmail();
    const [here, there] = [await signedIn(email), await signedIn(email)];
    const { sessions } = (await here.call("ListSessions")).json;
    expect(sessions).toHaveLength(2);
    const other = sessions.find((session: { isCurrentSession?: boolean }) => !session.isCurrentSession);
    expect(other.metadata.ipAddress).toBe("127.0.0.1");
    const stranger = await signedIn();
    expect((await stranger.call("RevokeSession", { sessionId: other.id })).json).toMatchObject({
      code: "not_found",
      message: "session doesn't exist",
    });
    expect((await here.call("RevokeSession", { sessionId: other.id })).status).toBe(200);
    expect((await there.call("GetCurrentUser")).status).toBe(401);
    expect((await here.call("RevokeSession", { sessionId: "nonsense" })).json).toMatchObject({
      code: "invalid_argument",
      message: "invalid session_id format: must be a valid UUID",
    });
    const third = await signedIn(email);
    expect((await here.call("RevokeAllSessions", { keepCurrent: true })).json).toEqual({ revoked: 1 });
    expect((await third.call("GetCurrentUser")).status).toBe(401);
    expect((await here.call("RevokeAllSessions")).json).toEqual({ revoked: 1 });
    expect(here.cookies.has("sid")).toBe(false);
  });

  it("pings a session with the device it is seen with", async () => {
    const person = await signedIn();
    const userAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0";
    const spoofed = { "user-agent": userAgent, "x-forwarded-for": "192.0.2.1", "x-frontier-city": "Oz" };
    const { json } = await person.call("PingUserSession", {}, spoofed);
    expect(json.metadata).toEqual({
      operatingSystem: "Linux",
      browser: "Firefox",
      ipAddress: "127.0.0.1",
    });
  });

  it("has nothing of that for machines", async () => {
    for (const method of ["ListSessions", "PingUserSession", "RevokeAllSessions"]) {
      const answer = await postJson(server, `/vestibule.v1.AuthService/${method}`, {}, basic(server));
      expect(answer.json).toMatchObject({ code: "permission_denied", message: "not authorized" });
    }
  });

  it("makes superusers of those who prove a configured address", async () => {
    const listUsers = (person: Person) =>
      person.send("/vestibule.v1.UserService/ListUsers", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: "{}",
      });
    expect((await listUsers(await signedIn(admin))).status).toBe(200);
    expect((await listUsers(await signedIn())).status).toBe(403);
  });

  it("is what the audit trail tells of: who came in, who did not, who went", async () => {
    const email = newEmail();
    const person = await signedIn(email);
    const { user } = (await person.call("GetCurrentUser")).json;
    await person.call("AuthCallback", { state: "unknown" });
    await person.call("AuthLogout");
    const list = async (filter: object) => {
      const path = "/vestibule.v1.AuditService/ListAuditRecords";
      const { json } = await postJson(server, path, filter, basic(server));
      return (json.records ?? []).map(({ action }: { action: string }) => action);
    };
    const own = ["user.create", "session.create", "session.sign_out"];
    await expect.poll(() => list({ actorId: user.id })).toEqual(expect.arrayContaining(own));
    await expect.poll(() => list({ action: "sign_in.refuse" })).toContain("sign_in.refuse");
  });

  it("is refused to other sites' pages, in every way they have (CSRF)", async () => {
    const person = await signedIn();
    const refused = { status: 403, json: { code: "permission_denied", message: "not authorized" } };
    const sid = `sid=${person.cookies.get("sid")}`;
    const call = (method: string, headers: Record<string, string>) =>
      postJson(server, `/vestibule.v1.AuthService/${method}`, {}, { cookie: sid, ...headers });
    for (const headers of [
      { origin: "null" },
      { origin: "https://evil.example" },
      { origin: `http://sibling.localhost:${server.port}` },
      { origin: `https://localhost:${server.port}` },
      { "sec-fetch-site": "same-site" },
    ]) {
      expect(await call("RevokeAllSessions", headers)).toMatchObject(refused);
      const left = await call("AuthLogout", headers);
      expect(left).toMatchObject({ status: 200, json: {} });
      expect(left.headers).not.toHaveProperty("set-cookie");
    }
    for (const type of [
      "text/plain",
      "application/x-www-form-urlencoded",
      "multipart/form-data; boundary=x",
    ]) {
      const answer = await person.send("/vestibule.v1.AuthService/AuthLogout", {
        method: "POST",
        headers: { "content-type": type },
        body: "{}",
      });
      expect(answer.status).toBe(415);
    }
    expect((await person.call("GetCurrentUser")).status).toBe(200);
    expect((await call("AuthLogout", { "sec-fetch-site": "same-origin" })).status).toBe(200);
    expect((await person.call("GetCurrentUser")).status).toBe(401);
  });

  it("is acted on by what is no browser: a cookie jar says nothing of a page", async () => {
    const person = await signedIn();
    const jar = { cookie: `sid=${person.cookies.get("sid")}` };
    const call = (method: string) => postJson(server, `/vestibule.v1.AuthService/${method}`, {}, jar);
    expect((await call("PingUserSession")).status).toBe(200);
    expect((await call("AuthLogout")).status).toBe(200);
    expect((await call("GetCurrentUser")).status).toBe(401);
  });

  it("refuses a callback from another browser, and goes on in the first (C6)", async () => {
    const email = newEmail();
    const [person, stranger] = [new Person(server), new Person(server)];
    const { json } = await person.call("Authenticate", { strategyName: "mailotp", email });
    const answer = { state: json.state, code: findCode(await waitForMail(server, email)) };
    await stranger.call("Authenticate", { strategyName: "mailotp", email: newEmail() });
    for (const other of [stranger, new Person(server)]) {
      expect((await other.call("AuthCallback", answer)).json).toMatchObject({
        code: "invalid_argument",
        message: "invalid auth state",
      });
    }
    expect((await person.call("AuthCallback", answer)).status).toBe(200);
    expect((await person.call("AuthCallback", answer)).json).toMatchObject({
      code: "invalid_argument",
      message: "invalid flow or expired",
    });
  });

  it("answers where to go in the header that Frontier documents", async () => {
    const email = newEmail();
    const person = new Person(server);
    const returnTo = "https://app.example.org/home";
    const { json } = await person.call("Authenticate", { strategyName: "mailotp", email, returnTo });
    const code = findCode(await waitForMail(server, email));
    const { status, headers } = await person.call("AuthCallback", { state: json.state, code });
    expect([status, headers.location]).toEqual([200, returnTo]);
    const bad = await person.call("Authenticate", { strategyName: "mailotp", email, returnTo: "//evil" });
    expect(bad.json).toMatchObject({ code: "invalid_argument" });
  });

  it("never makes a link from what a request says (C4)", async () => {
    const person = new Person(server);
    const email = newEmail();
    const forged = {
      "x-forwarded-host": "evil.example",
      forwarded: "host=evil.example",
      host: "evil.example",
    };
    await person.call("Authenticate", { strategyName: "maillink", email }, forged);
    const link = findLink(await waitForMail(server, email));
    expect(link.origin).toBe(`http://localhost:${server.port}`);
  });

  it("signs in by a link that scanners have opened before (C2)", async () => {
    const email = newEmail();
    const person = new Person(server);
    const { path } = await beginByLink(person, email);
    for (const method of ["HEAD", "GET", "HEAD", "GET", "HEAD", "GET"]) {
      const scanned = await new Person(server).send(path, { method });
      expect(scanned.status).toBe(200);
      expect(scanned.headers["set-cookie"]).toBeUndefined();
      expect(scanned.text).not.toContain("<form");
    }
    const page = await person.send(path);
    expect(page.headers["set-cookie"]).toBeUndefined();
    expect(page.headers["content-security-policy"]).toContain("default-src 'none'");
    const body = toInputs(page.text).toString();
    const answer = await person.send("/auth/callback", { headers: formHeaders, body });
    expect([answer.status, answer.headers.location]).toEqual([
      303,
      `http://localhost:${server.port}/account`,
    ]);
    expect((await person.call("GetCurrentUser")).json.user.email).toBe(email);
    const again = await person.send("/auth/callback", { headers: formHeaders, body });
    expect(again.status).toBe(303);
    person.cookies.delete("sid");
    expect((await person.send("/auth/callback", { headers: formHeaders, body })).status).toBe(400);
  });

  it("redeems a link once, however many press the button (C1)", async () => {
    const person = new Person(server);
    const { path } = await beginByLink(person, newEmail());
    const body = toInputs((await person.send(path)).text).toString();
    const headers = { ...formHeaders, ...person.headers() };
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => {
        const twin = new Person(server);
        twin.cookies.set("vestibule_browser", person.cookies.get("vestibule_browser") ?? "");
        return twin.send("/auth/callback", { headers, body });
      }),
    );
    const sessions = answers.filter(({ headers: { "set-cookie": cookie } }) =>
      `${cookie}`.startsWith("sid="),
    );
    expect(sessions).toHaveLength(1);
  });

  it("signs in by a link however many codes were wrong, and counts none that is", async () => {
    const email = newEmail();
    const [person, stranger] = [new Person(server), new Person(server)];
    const { path, state, mail } = await beginByLink(person, email);
    const invalid = { code: "invalid_argument", message: "invalid mail otp" };
    const guess = async (flow: string, code: string, by: Person) => {
      expect((await by.call("AuthCallback", { state: flow, code })).json).toMatchObject(invalid);
    };
    // No link of this flow's, more often than a code may be wrong.
    for (let count = 0; count < 12; count++) {
      await guess(state, Buffer.alloc(32, count).toString("base64url"), person);
    }
    for (let count = 0; count < 10; count++) {
      const flow = await stranger.call("Authenticate", { strategyName: "mailotp", email });
      await guess(flow.json.state, "ZZZZZZ", stranger);
    }
    await guess(state, findCode(mail), person);
    const body = toInputs((await person.send(path)).text).toString();
    expect((await person.send("/auth/callback", { headers: formHeaders, body })).status).toBe(303);
    expect((await person.call("GetCurrentUser")).json.user.email).toBe(email);
    // The mailbox's codes stay refused: the link has given nothing back.
    const later = await person.call("Authenticate", { strategyName: "maillink", email });
    await guess(later.json.state, "ZZZZZZ", person);
  });

  it("takes the button from our own page alone", async () => {
    const person = new Person(server);
    const { path, mail, state } = await beginByLink(person, newEmail());
    const inputs = toInputs((await person.send(path)).text);
    const post = (change: Record<string, string>, headers: Record<string, string> = {}, by = person) => {
      const body = new URLSearchParams({ ...Object.fromEntries(inputs), ...change }).toString();
      return by.send("/auth/callback", { headers: { ...formHeaders, ...headers }, body });
    };
    const stranger = new Person(server);
    await stranger.call("Authenticate", { strategyName: "mailotp", email: newEmail() });
    expect((await post({ token: "" })).status).toBe(403);
    expect((await post({ state: "other" })).status).toBe(403);
    expect((await post({}, { origin: "null" })).status).toBe(403);
    expect((await post({}, { origin: "https://evil.example" })).status).toBe(403);
    expect((await post({}, {}, stranger)).status).toBe(403);
    expect((await post({}, { "content-type": "text/plain" })).status).toBe(400);
    const wrong = await post({ code: "ZZZZZZ" });
    expect([wrong.status, wrong.headers.location]).toEqual([303, `/login/check-mail?state=${state}&wrong=1`]);
    expect(wrong.headers["set-cookie"]).toBeUndefined();
    const typed = await person.call("AuthCallback", { state, code: findCode(mail).toLowerCase() });
    expect(typed.status).toBe(200);
  });

  it("shows nothing of what it is given in a link", async () => {
    const answer = await new Person(server).send(
      "/auth/callback?state=%3Cscript%3Ealert(1)%3C/script%3E&code=%3Cb%3E",
    );
    expect(answer.status).toBe(400);
    expect(answer.text).not.toContain("<script");
    const twice = await new Person(server).send("/auth/callback?state=a&state=b");
    expect(twice.status).toBe(400);
  });
});

describe("sign-up by invitation", () => {
  it("takes one from a superuser, for that address alone", async () => {
    const config = {
      authentication: { signup: { mode: "invited" } },
      limits: { mails_per_mailbox_per_hour: 100 },
    };
    await using server = await startServer({ config });
    const invite = (email: string, headers = basic(server) as Record<string, string>) =>
      postJson(server, "/vestibule.v1.UserService/InviteUser", { email }, headers);
    const refused = new Person(server).signIn("ada@example.org");
    await expect(refused).rejects.toThrow(/permission_denied.*sign-up is not open to this address/);
    expect((await invite("Ada@Example.org")).json).toEqual({});
    expect((await invite("ada@example.org")).json).toEqual({});
    expect((await invite("ada")).json).toMatchObject({ code: "invalid_argument", message: "Invalid email" });
    const ada = new Person(server);
    await ada.signIn("ada@example.org");
    const { accessToken } = (await ada.call("AuthToken")).json;
    const answer = await invite("eve@example.org", { authorization: `Bearer ${accessToken}` });
    expect(answer.status).toBe(403);
    await expect(new Person(server).signIn("eve@example.org")).rejects.toThrow("permission_denied");
    // Whoever is deleted comes back by another invitation alone.
    const { id } = (await ada.call("GetCurrentUser")).json.user;
    await postJson(server, "/vestibule.v1.UserService/DeleteUser", { id }, basic(server));
    await expect(new Person(server).signIn("ada@example.org")).rejects.toThrow("permission_denied");
    await invite("ada@example.org");
    await new Person(server).signIn("ada@example.org");
  });
});

describe("two servers on one database", () => {
  const env = { VESTIBULE_PUBLIC_URL: "http://localhost:7400" };
  let state: ServerState;
  let a: TestServer;
  let b: TestServer;

  beforeAll(async () => {
    state = await createState("postgres");
    [a, b] = await Promise.all([startServer({ state, env }), startServer({ state, env })]);
  });
  afterAll(async () => {
    await Promise.all([a?.kill(), b?.kill()]);
    await state?.remove();
  });

  it("know each other's sessions, and within a second their end", async () => {
    const origin = { origin: "http://localhost:7400" };
    const email = "ada@example.org";
    const here = new Person(a);
    const begun = await here.call("Authenticate", { strategyName: "mailotp", email }, origin);
    const code = findCode(await waitForMail(a, email));
    const there = new Person(b);
    for (const [name, value] of here.cookies) there.cookies.set(name, value);
    expect((await there.call("AuthCallback", { state: begun.json.state, code }, origin)).status).toBe(200);
    for (const [name, value] of there.cookies) here.cookies.set(name, value);
    const { accessToken } = (await here.call("AuthToken", {}, origin)).json;
    const bearer = { authorization: `Bearer ${accessToken}` };
    const statuses = async () => [
      (await here.call("GetCurrentUser", {}, origin)).status,
      (await postJson(a, "/vestibule.v1.AuthService/GetCurrentUser", {}, bearer)).status,
    ];
    expect(await statuses()).toEqual([200, 200]);
    await there.call("AuthLogout", {}, origin);
    await expect.poll(statuses, { timeout: 5000, interval: 20 }).toEqual([401, 401]);
  });
});
