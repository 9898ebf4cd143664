/** What somebody tries who wants to be somebody else: over the wire, against the built server, on both databases. */
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { SoftAuthenticator } from "./parts/authenticator.ts";
import { type Answer, basic, postJson, send } from "./parts/http.ts";
import { openRedirects } from "./parts/open-redirects.ts";
import { countMails, findCode, findLink, hasCode, listMails, Person, waitForMail } from "./parts/person.ts";
import { createState, type ServerState, startServer, type TestServer } from "./parts/server.ts";

const notAuthenticated = { status: 401, json: { code: "unauthenticated", message: "not authenticated" } };
const notAuthorized = { status: 403, json: { code: "permission_denied", message: "not authorized" } };
const badState = { status: 400, json: { code: "invalid_argument", message: "invalid auth state" } };
const badFlow = { status: 400, json: { code: "invalid_argument", message: "invalid flow or expired" } };
const badCode = { status: 400, json: { code: "invalid_argument", message: "invalid mail otp" } };

const signInConfig = {
  limits: { mails_per_mailbox_per_hour: 1000 },
  authentication: { authorized_redirect_urls: ["https://app.example.org/home"] },
};

let count = 0;
const newEmail = () => `ada-${count++}@example.org`;

async function signedIn(server: TestServer, email = newEmail()): Promise<Person> {
  const person = new Person(server);
  await person.signIn(email);
  return person;
}

/** A flow by mail, and the code that ends it. */
async function beginByMail(person: Person, email: string, strategyName = "mailotp") {
  const before = listMails(person.server);
  const { json } = await person.call("Authenticate", { strategyName, email });
  const mail = await waitForMail(person.server, email, before, hasCode);
  return { state: json.state as string, code: findCode(mail), mail };
}

function withCookie(server: TestServer, sid: string): Person {
  const person = new Person(server);
  person.cookies.set("sid", sid);
  return person;
}

describe.each(["sqlite", "postgres"] as const)("on %s", (database) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ database, config: signInConfig });
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  const manage = (method: string, message: object) =>
    postJson(server, `/vestibule.v1.UserService/${method}`, message, basic(server));
  const whoami = (authorization: Record<string, string>) =>
    postJson(server, "/vestibule.v1.AuthService/GetCurrentUser", {}, authorization);

  /** Everything that a person holds. */
  async function holdings(email: string) {
    const person = await signedIn(server, email);
    const { id } = (await person.call("GetCurrentUser")).json.user;
    const { accessToken } = (await person.call("AuthToken")).json;
    const device = new SoftAuthenticator({ origin: `http://localhost:${server.port}` });
    const begun = await person.call("Authenticate", { strategyName: "passkey" });
    const stateOptions = { options: device.create(begun.json.stateOptions.options) };
    await person.call("AuthCallback", { state: begun.json.state, stateOptions });
    return { person, id, bearer: { authorization: `Bearer ${accessToken}` }, device };
  }

  async function signInByPasskey(device: SoftAuthenticator, person = new Person(server)): Promise<Answer> {
    const { json } = await person.call("Authenticate", { strategyName: "passkey" });
    const stateOptions = { options: device.get(json.stateOptions.options) };
    return await person.call("AuthCallback", { state: json.state, stateOptions });
  }

  describe("cookies", () => {
    it("that are damaged, cut off, foreign or of no session prove nothing, in one way", async () => {
      const person = await signedIn(server);
      const good = person.cookies.get("sid") ?? "";
      const flip = (at: number) => good.slice(0, at) + (good[at] === "A" ? "B" : "A") + good.slice(at + 1);
      await using elsewhere = await startServer();
      const foreign = (await signedIn(elsewhere)).cookies.get("sid") ?? "";
      const bad = [
        ...[0, 20, 60, 100, 122].map(flip),
        good.slice(0, -1),
        good.slice(1),
        `${good}A`,
        `${good}${good}`,
        `"${good}"`,
        good.toUpperCase(),
        encodeURIComponent(`${good}=`),
        foreign,
        "",
        "null",
        "../../etc/passwd",
        "x".repeat(8000),
      ];
      for (const sid of bad) {
        const holder = withCookie(server, sid);
        expect(await holder.call("GetCurrentUser"), sid).toMatchObject(notAuthenticated);
        expect(await holder.call("AuthToken"), sid).toMatchObject(notAuthenticated);
        expect(await holder.call("RevokeAllSessions"), sid).toMatchObject(notAuthenticated);
      }
      expect((await person.call("GetCurrentUser")).status).toBe(200);
    });

    it("tossed from a sibling's page never make somebody act as somebody else", async () => {
      const [person, attacker] = [await signedIn(server), await signedIn(server)];
      const own = person.cookies.get("sid") ?? "";
      const tossed = attacker.cookies.get("sid") ?? "";
      for (const cookie of [`sid=${own}; sid=${tossed}`, `sid=${tossed}; sid=${own}`]) {
        const headers = { ...person.headers(), cookie };
        const call = (method: string) => postJson(server, `/vestibule.v1.AuthService/${method}`, {}, headers);
        expect(await call("GetCurrentUser")).toMatchObject(notAuthenticated);
        expect(await call("AuthToken")).toMatchObject(notAuthenticated);
      }
      const bearer = (await attacker.call("AuthToken")).json.accessToken;
      expect(await person.call("GetCurrentUser", {}, { authorization: `Bearer ${bearer}` })).toMatchObject(
        notAuthenticated,
      );
    });

    it("are new with every sign-in, whatever was there before (fixation)", async () => {
      const [attacker, email] = [await signedIn(server), newEmail()];
      const fixed = attacker.cookies.get("sid") ?? "";
      const victim = withCookie(server, fixed);
      await victim.signIn(email);
      expect(victim.cookies.get("sid")).not.toBe(fixed);
      expect((await victim.call("GetCurrentUser")).json.user.email).toBe(email);
      expect(await attacker.call("GetCurrentUser")).toMatchObject(notAuthenticated);
    });

    it("of a browser are 256 bits, or replaced", async () => {
      for (const planted of ["", "x", "A".repeat(42), "A".repeat(44), `${"A".repeat(42)}!`]) {
        const person = new Person(server);
        person.cookies.set("vestibule_browser", planted);
        const { state, code } = await beginByMail(person, newEmail());
        const answers = { state, code };
        expect(person.cookies.get("vestibule_browser")).not.toBe(planted);
        const stranger = new Person(server);
        stranger.cookies.set("vestibule_browser", planted);
        expect(await stranger.call("AuthCallback", answers)).toMatchObject(badState);
        expect((await person.call("AuthCallback", answers)).status).toBe(200);
      }
    });

    it("are no credential for other sites' pages, also where a token is asked for", async () => {
      const person = await signedIn(server);
      const cookie = person.headers().cookie ?? "";
      const { sessions } = (await person.call("ListSessions")).json;
      const calls = [
        ["AuthToken", {}],
        ["AuthToken", { grantType: "" }],
        ["RevokeSession", { sessionId: sessions[0].id }],
        ["PingUserSession", {}],
        ["Authenticate", { strategyName: "mailotp", email: newEmail() }],
        ["AuthLogout", {}],
      ] as const;
      for (const [method, message] of calls) {
        for (const origin of ["null", `http://evil.localhost:${server.port}`]) {
          const path = `/vestibule.v1.AuthService/${method}`;
          const answer = await postJson(server, path, message, { cookie, origin });
          // Signing out succeeds, and ends nothing.
          expect(answer, method).toMatchObject(method === "AuthLogout" ? { status: 200 } : notAuthorized);
          expect(answer.headers["set-cookie"]).toBeUndefined();
        }
      }
      // A grant type selects another credential; the cookie is no help then.
      const granted = await person.call("AuthToken", { grantType: "client_credentials" });
      expect(granted).toMatchObject(notAuthenticated);
      expect((await person.call("GetCurrentUser")).status).toBe(200);
    });
  });

  describe("flows", () => {
    it("lead nowhere but to what is configured (C5)", async () => {
      const person = new Person(server);
      const before = listMails(server).length;
      for (const target of openRedirects) {
        for (const asked of [{ returnTo: target }, { callbackUrl: target }]) {
          const message = { strategyName: "mailotp", email: newEmail(), ...asked };
          const answer = await person.call("Authenticate", message);
          expect([answer.status, answer.json.code], target).toEqual([400, "invalid_argument"]);
        }
      }
      expect(listMails(server)).toHaveLength(before);
    });

    it("are not each other's: a code is good for its own alone", async () => {
      const person = new Person(server);
      const [mine, other] = [await beginByMail(person, newEmail()), await beginByMail(person, newEmail())];
      expect(await person.call("AuthCallback", { state: mine.state, code: other.code })).toMatchObject(
        badCode,
      );
      const strategies = ["maillink", "passkey"];
      for (const strategyName of strategies) {
        const answer = await person.call("AuthCallback", {
          state: mine.state,
          code: mine.code,
          strategyName,
        });
        expect(answer).toMatchObject(badState);
      }
      const unknown = await person.call("AuthCallback", {
        ...mine,
        mail: undefined,
        strategyName: "nonesuch",
      });
      expect(unknown.json.message).toBe("unsupported authentication method");
      expect((await person.call("AuthCallback", { state: mine.state, code: mine.code })).status).toBe(200);
    });

    it("take no more than one of fifty right codes that come at once (C1)", async () => {
      const person = new Person(server);
      const { state, code } = await beginByMail(person, newEmail());
      const browser = person.cookies.get("vestibule_browser") ?? "";
      const answers = await Promise.all(
        Array.from({ length: 50 }, () => {
          const tab = new Person(server);
          tab.cookies.set("vestibule_browser", browser);
          return tab.call("AuthCallback", { state, code });
        }),
      );
      expect(answers.filter(({ headers }) => headers["set-cookie"] !== undefined)).toHaveLength(1);
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    });

    it("end at the third wrong code, whether it is typed for a code or for a link (C3)", async () => {
      for (const strategyName of ["mailotp", "maillink"]) {
        const person = new Person(server);
        const { state, code } = await beginByMail(person, newEmail(), strategyName);
        const guesses = ["BCDFGH", "CDFGHJ", "DFGHJK"];
        const wrong = await Promise.all(
          guesses.map((guess) => person.call("AuthCallback", { state, code: guess })),
        );
        expect(wrong).toMatchObject([badCode, badCode, badCode]);
        expect(await person.call("AuthCallback", { state, code })).toMatchObject(badFlow);
      }
    });

    it("never put into a mail what a request says of hosts (C4)", async () => {
      const forgeries = [
        { host: "evil.example" },
        { host: `localhost:${server.port}@evil.example` },
        { "x-forwarded-host": "evil.example", "x-forwarded-proto": "https", "x-forwarded-port": "1" },
        { forwarded: 'for=1.2.3.4;host="evil.example";proto=https' },
        { "x-original-host": "evil.example", "x-host": "evil.example", "x-forwarded-server": "evil.example" },
        { origin: "https://evil.example", referer: "https://evil.example/" },
        { "x-forwarded-prefix": "//evil.example", "x-original-url": "https://evil.example/" },
      ];
      for (const forged of forgeries) {
        for (const strategyName of ["mailotp", "maillink"]) {
          const [person, email] = [new Person(server), newEmail()];
          const headers = forged as unknown as Record<string, string>;
          const answer = await person.call("Authenticate", { strategyName, email }, headers);
          if (answer.status !== 200) continue;
          const mail = await waitForMail(server, email);
          expect(mail).not.toContain("evil");
          if (strategyName === "maillink")
            expect(findLink(mail).origin).toBe(`http://localhost:${server.port}`);
        }
      }
    });

    it("begin for what is an address alone, and mail to nobody else", async () => {
      const before = listMails(server).length;
      const addresses = [
        "",
        "ada",
        "ada@example.org\r\nBcc: eve@example.org",
        "ada@example.org\nX: y",
        "ada@example.org,eve@example.org",
        "ada@example.org;eve@example.org",
        "Ada <ada@example.org>",
        '"ada eve"@example.org',
        "ada@[127.0.0.1]",
        "adä@example.org",
        "ada@ex\u0001mple.org",
        "\u212Aate@example.org",
        `${"a".repeat(400)}@example.org`,
        `ada@${"a".repeat(100_000)}.org`,
      ];
      for (const email of addresses) {
        const answer = await new Person(server).call("Authenticate", { strategyName: "mailotp", email });
        expect(answer.json, email).toMatchObject({
          code: "invalid_argument",
          message: expect.stringMatching(/^Invalid email/),
        });
      }
      expect(listMails(server)).toHaveLength(before);
    });

    it("keep a person one person, whatever the case of their address, and two apart that differ", async () => {
      const email = newEmail();
      const idOf = async (person: Person) => (await person.call("GetCurrentUser")).json.user.id;
      const first = await idOf(await signedIn(server, email));
      const shouting = new Person(server);
      const before = listMails(server);
      const { json } = await shouting.call("Authenticate", {
        strategyName: "mailotp",
        email: ` ${email.toUpperCase()} `,
      });
      const code = findCode(await waitForMail(server, email, before));
      expect((await shouting.call("AuthCallback", { state: json.state, code })).status).toBe(200);
      expect(await idOf(shouting)).toBe(first);
      const tagged = await signedIn(server, email.replace("@", "+x@"));
      expect(await idOf(tagged)).not.toBe(first);
    });

    it("are not broken by what is long, deep or of another type", async () => {
      const person = new Person(server);
      const { state, code } = await beginByMail(person, newEmail());
      const deep = (depth: number) => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;
      const bombs = [
        JSON.stringify({ state, code: "x".repeat(8193) }),
        JSON.stringify({ state: "x".repeat(513), code }),
        JSON.stringify({ state, code: "x".repeat(900_000) }),
        `{"state":"${state}","stateOptions":${deep(10_000)}}`,
        `{"state":"${state}","stateOptions":${deep(100_000)}}`,
        `{"state":"${state}","stateOptions":{"options":${JSON.stringify(deep(50_000))}}}`,
        JSON.stringify({ state, code: 7 }),
        JSON.stringify({ state: [state], code }),
        JSON.stringify({ state, stateOptions: "x" }),
      ];
      for (const bomb of bombs) {
        const path = "/vestibule.v1.AuthService/AuthCallback";
        const { status, json } = await postJson(server, path, bomb, person.headers());
        expect([status, json.code], bomb.slice(0, 90)).toEqual([400, "invalid_argument"]);
      }
      // A passkey's flow reads what the others ignore.
      for (const options of [
        deep(50_000),
        "[".repeat(100_000),
        "{}",
        '{"id":"x","response":{}}',
        "x".repeat(500_000),
      ]) {
        const begun = await person.call("Authenticate", { strategyName: "passkey" });
        const answer = await person.call("AuthCallback", {
          state: begun.json.state,
          stateOptions: { options },
        });
        expect([answer.status, answer.json.code]).toEqual([400, "invalid_argument"]);
      }
      expect((await send(`${server.url}/healthz`)).status).toBe(200);
    });
  });

  describe("passkeys", () => {
    it("are not registered by naming an address, nor is anything told of it (C10)", async () => {
      const email = newEmail();
      const { device } = await holdings(email);
      const shapes = [];
      for (const named of [email, newEmail(), ""]) {
        const { status, json } = await new Person(server).call("Authenticate", {
          strategyName: "passkey",
          email: named,
        });
        const { type, options } = json.stateOptions;
        expect([type, options.allowCredentials, options.user]).toEqual(["login", undefined, undefined]);
        shapes.push([status, Object.keys(json), Object.keys(options), options.challenge.length]);
      }
      expect(shapes[1]).toEqual(shapes[0]);
      expect(shapes[2]).toEqual(shapes[0]);
      // A registration is no answer to a sign-in.
      const attacker = new Person(server);
      const begun = await attacker.call("Authenticate", { strategyName: "passkey", email });
      const { challenge } = begun.json.stateOptions.options;
      const made = new SoftAuthenticator({ origin: `http://localhost:${server.port}` }).create({
        challenge,
        rp: { id: "localhost" },
        user: { id: "AAAA" },
      });
      const stateOptions = { options: made };
      const refused = await attacker.call("AuthCallback", { state: begun.json.state, stateOptions });
      expect(refused).toMatchObject(badFlow);
      expect(attacker.cookies.has("sid")).toBe(false);
      expect((await signInByPasskey(device)).status).toBe(200);
    });

    it("belong to the session that began their registration", async () => {
      const [person, other] = [await signedIn(server), await signedIn(server)];
      const device = new SoftAuthenticator({ origin: `http://localhost:${server.port}` });
      const begin = async () => (await person.call("Authenticate", { strategyName: "passkey" })).json;
      const answerTo = ({ state, stateOptions }: Awaited<ReturnType<typeof begin>>) => ({
        state,
        stateOptions: { options: device.create(stateOptions.options) },
      });
      // In the same browser, by somebody who has signed in meanwhile, or by nobody.
      for (const sid of [other.cookies.get("sid") ?? "", undefined]) {
        const later = new Person(server);
        later.cookies.set("vestibule_browser", person.cookies.get("vestibule_browser") ?? "");
        const answer = answerTo(await begin());
        later.cookies.set("vestibule_browser", person.cookies.get("vestibule_browser") ?? "");
        if (sid !== undefined) later.cookies.set("sid", sid);
        expect(await later.call("AuthCallback", answer)).toMatchObject(badFlow);
      }
      const elsewhere = withCookie(server, person.cookies.get("sid") ?? "");
      expect(await elsewhere.call("AuthCallback", answerTo(await begin()))).toMatchObject(badState);
      expect((await person.call("ListPasskeys")).json).toEqual({});
      expect((await other.call("ListPasskeys")).json).toEqual({});
      // An access token is no session to add a passkey in.
      const { accessToken } = (await person.call("AuthToken")).json;
      const begun = await new Person(server).call(
        "Authenticate",
        { strategyName: "passkey" },
        { authorization: `Bearer ${accessToken}` },
      );
      expect(begun.json.stateOptions.type).toBe("login");
    });

    it.each([
      ["another origin", { origin: "https://evil.example" }],
      ["another relying party", { rpId: "evil.example" }],
      ["no verification of its user", { userVerified: false }],
      ["another user's handle", { userHandle: "AAAA" }],
      ["another key", { wrongKey: true }],
    ])("do not sign in with %s, and a challenge is used up (C11)", async (_, faults) => {
      const { device } = await holdings(newEmail());
      const person = new Person(server);
      const { json } = await person.call("Authenticate", { strategyName: "passkey" });
      const { state, stateOptions } = json;
      const answer = (options: object) => person.call("AuthCallback", { state, stateOptions: { options } });
      expect(await answer(device.get(stateOptions.options, faults))).toMatchObject(badFlow);
      expect(await answer(device.get(stateOptions.options))).toMatchObject(badFlow);
      expect(person.cookies.has("sid")).toBe(false);
      expect((await signInByPasskey(device)).status).toBe(200);
    });

    it("may count nothing, but not backwards where they are bound to a device (C12)", async () => {
      const { device } = await holdings(newEmail());
      expect((await signInByPasskey(device)).status).toBe(200);
      device.counter -= 1;
      expect(await signInByPasskey(device)).toMatchObject(badFlow);
      device.counter += 1;
      expect((await signInByPasskey(device)).status).toBe(200);
    });
  });

  describe("a user who was shut out", () => {
    it("is refused at once with all they hold, and let in again without their old sessions", async () => {
      const email = newEmail();
      const { person, id, bearer, device } = await holdings(email);
      expect((await manage("DisableUser", { id })).status).toBe(200);
      expect(await person.call("GetCurrentUser")).toMatchObject(notAuthorized);
      expect(await person.call("AuthToken")).toMatchObject(notAuthorized);
      expect(await whoami(bearer)).toMatchObject(notAuthorized);
      expect(await whoami({ "x-user-token": bearer.authorization.slice(7) })).toMatchObject(notAuthorized);
      expect(await signInByPasskey(device)).toMatchObject(notAuthorized);
      const again = new Person(server);
      const { state, code } = await beginByMail(again, email);
      expect(await again.call("AuthCallback", { state, code })).toMatchObject(notAuthorized);
      // They may start over, as anyone, but add no passkey.
      const begun = await person.call("Authenticate", { strategyName: "passkey" });
      expect(begun.json.stateOptions.type).toBe("login");
      const introspected = await send(`${server.url}/oauth2/introspect`, {
        headers: { ...basic(server), "content-type": "application/x-www-form-urlencoded" },
        body: `token=${bearer.authorization.slice(7)}`,
      });
      expect(introspected.json).toEqual({ active: false });
      await manage("EnableUser", { id });
      expect((await person.call("GetCurrentUser")).status).toBe(401);
      expect((await whoami(bearer)).status).toBe(401);
      expect((await signInByPasskey(device)).status).toBe(200);
      // A call that changes nothing ends nobody's session.
      await person.signIn(email);
      await manage("EnableUser", { id });
      expect((await person.call("GetCurrentUser")).status).toBe(200);
    });

    it("is unknown once deleted, and nobody when they come again", async () => {
      const email = newEmail();
      const { person, id, bearer, device } = await holdings(email);
      const begun = await person.call("Authenticate", { strategyName: "passkey" });
      expect((await manage("DeleteUser", { id })).status).toBe(200);
      expect((await person.call("GetCurrentUser")).status).toBe(401);
      expect(await whoami(bearer)).toMatchObject({
        status: 404,
        json: { code: "not_found", message: "user doesn't exist" },
      });
      expect(await signInByPasskey(device)).toMatchObject(badFlow);
      const fresh = new SoftAuthenticator({ origin: `http://localhost:${server.port}` });
      const stateOptions = { options: fresh.create(begun.json.stateOptions.options) };
      expect(await person.call("AuthCallback", { state: begun.json.state, stateOptions })).toMatchObject(
        badFlow,
      );
      const later = await signedIn(server, email);
      expect((await later.call("GetCurrentUser")).json.user.id).not.toBe(id);
      expect((await later.call("ListPasskeys")).json).toEqual({});
    });
  });

  it("a session lasts as long as it was made for, pinged or not", async () => {
    const person = await signedIn(server);
    const expiry = async () => (await person.call("ListSessions")).json.sessions[0].expiresAt;
    const before = await expiry();
    await person.call("PingUserSession");
    expect(await expiry()).toBe(before);
  });
});

it("what signs in is nowhere in the log, the audit, or a refusal (C21)", async () => {
  await using talkative = await startServer({ config: { ...signInConfig, log: { level: "debug" } } });
  const [person, email] = [new Person(talkative), newEmail()];
  const flow = await beginByMail(person, email, "maillink");
  const link = findLink(flow.mail);
  const answers = [
    await person.send(link.pathname + link.search, { method: "HEAD" }),
    await new Person(talkative).send(link.pathname + link.search),
    await person.call("AuthCallback", { state: flow.state, code: "BCDFGH" }),
    await new Person(talkative).call("AuthCallback", { state: flow.state, code: flow.code }),
  ];
  const page = await person.send(link.pathname + link.search);
  expect(page.headers["cache-control"]).toBe("no-store");
  expect(page.headers["referrer-policy"]).toMatch(/^(no-referrer|same-origin)$/);
  expect((await person.call("AuthCallback", { state: flow.state, code: flow.code })).status).toBe(200);
  answers.push(await person.send(link.pathname + link.search));
  const audit = await postJson(
    talkative,
    "/vestibule.v1.AuditService/ListAuditRecords",
    { pageSize: 100 },
    basic(talkative),
  );
  expect(audit.text).toContain("session.create");
  await talkative.stop();
  const printed = talkative.stdout() + talkative.stderr();
  const told = answers.map(({ text, headers }) => text + JSON.stringify(headers)).join("") + audit.text;
  const { vestibule_browser = "", sid = "" } = Object.fromEntries(person.cookies);
  for (const secret of [flow.code, flow.state, link.searchParams.get("code") ?? "", vestibule_browser, sid]) {
    expect(secret.length).toBeGreaterThan(5);
    expect(printed).not.toContain(secret);
    expect(told).not.toContain(secret);
  }
  expect(printed).not.toContain(email);
});

describe("cookies by configuration", () => {
  const cookiesOf = async (publicUrl: string, session: object = {}) => {
    await using server = await startServer({
      env: { VESTIBULE_PUBLIC_URL: publicUrl },
      config: { authentication: { session } },
    });
    const person = new Person(server);
    const origin = { origin: publicUrl };
    const email = newEmail();
    const begun = await person.call("Authenticate", { strategyName: "mailotp", email }, origin);
    const code = findCode(await waitForMail(server, email));
    const ended = await person.call("AuthCallback", { state: begun.json.state, code }, origin);
    const left = await person.call("AuthLogout", {}, origin);
    return [begun, ended, left].map(({ headers }) =>
      [headers["set-cookie"] ?? []]
        .flat()
        .map((line) => line.replace(/=[\w-]{43,}/, "=…").replace(/; (Max-Age|Expires)=[^;]*/g, "")),
    );
  };

  it.each([
    ["http://localhost:7400", {}, "", "Lax", "Lax"],
    ["https://id.example.org", {}, "; Secure", "Lax", "Lax"],
    ["https://id.example.org", { same_site: "strict" }, "; Secure", "Strict", "Lax"],
    ["https://id.example.org", { same_site: "none" }, "; Secure", "None", "None"],
  ])("at %s with %j", async (publicUrl, session, secure, own, browser) => {
    const browserCookie = `vestibule_browser=…; Path=/; HttpOnly; SameSite=${browser}${secure}`;
    const device = secure === "" ? "vestibule_device" : "__Host-vestibule_device";
    expect(await cookiesOf(publicUrl, session)).toEqual([
      secure === "" ? [browserCookie] : [browserCookie, `__Host-${browserCookie}`],
      ...["…", ""].map((value) => [
        ...(secure === "" ? ["sid"] : ["sid", "__Host-vestibule-bind"]).map(
          (name) => `${name}=${value}; Path=/; HttpOnly; SameSite=${own}${secure}`,
        ),
        // Stays when the session ends.
        ...(value === "" ? [] : [`${device}=…; Path=/; HttpOnly; SameSite=${browser}${secure}`]),
      ]),
    ]);
  });

  it("by https, a sign-in is ended only with the cookie that no neighbour can set", async () => {
    const origin = "https://id.example.org";
    await using server = await startServer({ env: { VESTIBULE_PUBLIC_URL: origin } });
    const [attacker, email] = [new Person(server), newEmail()];
    const { json } = await attacker.call("Authenticate", { strategyName: "mailotp", email }, { origin });
    const answer = { state: json.state, code: findCode(await waitForMail(server, email)) };
    const victim = new Person(server);
    victim.cookies.set("vestibule_browser", attacker.cookies.get("vestibule_browser") ?? "");
    expect(await victim.call("AuthCallback", answer, { origin })).toMatchObject(badState);
    expect((await attacker.call("AuthCallback", answer, { origin })).status).toBe(200);
  });

  it("by https, a session that a neighbour put into a browser is not there (fixation)", async () => {
    const origin = "https://id.example.org";
    await using server = await startServer({ env: { VESTIBULE_PUBLIC_URL: origin } });
    const signedInHere = async (person = new Person(server)) => {
      const email = newEmail();
      const { json } = await person.call("Authenticate", { strategyName: "mailotp", email }, { origin });
      const code = findCode(await waitForMail(server, email));
      expect((await person.call("AuthCallback", { state: json.state, code }, { origin })).status).toBe(200);
      return { email, sid: `sid=${person.cookies.get("sid")}`, person };
    };
    const [victim, attacker] = [await signedInHere(), await signedInHere()];
    const bind = `__Host-vestibule-bind=${victim.person.cookies.get("__Host-vestibule-bind")}`;
    const call = (cookie: string, method: string, headers: Record<string, string> = { origin }) =>
      postJson(server, `/vestibule.v1.AuthService/${method}`, {}, { cookie, ...headers });
    const account = (cookie: string) =>
      send(`${server.url}/account`, {
        headers: { cookie, host: "id.example.org", "sec-fetch-site": "none" },
      });

    // Nobody is signed in by it, and nobody who comes with another credential is refused for it.
    for (const method of ["GetCurrentUser", "AuthToken", "ListSessions"]) {
      expect(await call(attacker.sid, method), method).toMatchObject(notAuthenticated);
    }
    expect((await account(attacker.sid)).headers.location).toBe("/login");
    const token = (await call(`${victim.sid}; ${bind}`, "AuthToken")).json.accessToken;
    const bearer = { origin, authorization: `Bearer ${token}` };
    for (const sid of [attacker.sid, "sid=dead"]) {
      const { status, json } = await call(sid, "GetCurrentUser", bearer);
      expect([status, json.user.email]).toEqual([200, victim.email]);
    }
    // Of several the bound one counts, in whatever order; a server that forwards them says no origin.
    for (const cookie of [
      `${attacker.sid}; ${victim.sid}; ${bind}`,
      `${bind}; ${victim.sid}; ${attacker.sid}`,
    ]) {
      for (const headers of [{ origin }, {}] as Record<string, string>[]) {
        expect((await call(cookie, "GetCurrentUser", headers)).json.user.email).toBe(victim.email);
        expect((await call(cookie, "AuthToken", headers)).status).toBe(200);
      }
      expect((await account(cookie)).text).toContain(victim.email);
    }
    // A sign-in neither takes over nor ends what was planted, and what has a new companion has a new session.
    const fixed = new Person(server);
    fixed.cookies.set("sid", attacker.sid.slice("sid=".length));
    const after = await signedInHere(fixed);
    expect((await fixed.call("GetCurrentUser", {}, { origin })).json.user.email).toBe(after.email);
    expect((await attacker.person.call("GetCurrentUser", {}, { origin })).status).toBe(200);
    // Signing out ends one's own session, not the planted one.
    expect((await call(`${attacker.sid}; ${victim.sid}; ${bind}`, "AuthLogout")).status).toBe(200);
    expect(await call(`${victim.sid}; ${bind}`, "GetCurrentUser")).toMatchObject(notAuthenticated);
    expect((await attacker.person.call("GetCurrentUser", {}, { origin })).status).toBe(200);
  });

  it("of an earlier domain, or a neighbour's, go when there are several", async () => {
    const origin = "https://id.example.org";
    await using server = await startServer({
      env: { VESTIBULE_PUBLIC_URL: origin },
      config: { authentication: { session: { domain: "example.org" } } },
    });
    const signedInHere = async (person = new Person(server)) => {
      const email = newEmail();
      const { json } = await person.call("Authenticate", { strategyName: "mailotp", email }, { origin });
      const code = findCode(await waitForMail(server, email));
      const answer = await person.call("AuthCallback", { state: json.state, code }, { origin });
      return { email, person, answer, sid: person.cookies.get("sid") ?? "" };
    };
    const [one, two] = [await signedInHere(), await signedInHere()];
    const ask = (cookie: string) =>
      send(`${server.url}/account`, { headers: { cookie, host: "id.example.org" } });
    const clearedBy = ({ headers }: Answer) =>
      [headers["set-cookie"] ?? []]
        .flat()
        .filter((line) => line.startsWith("sid=;"))
        .map((line) => /Domain=.*/.exec(line)?.[0] ?? "its own");
    const strays = ["its own", "Domain=id.example.org"];

    // Nothing to clear for who had none; for who had one, it may have been of another domain.
    expect(clearedBy(one.answer)).toEqual([]);
    const again = await signedInHere((await signedInHere()).person);
    expect(clearedBy(again.answer)).toEqual(strays);
    expect([again.answer.headers["set-cookie"] ?? []].flat().at(-2)).toContain(`sid=${again.sid}`);

    const alone = await ask(`sid=${one.sid}`);
    expect([alone.status, clearedBy(alone)]).toEqual([200, []]);
    for (const cookie of [`sid=dead; sid=${one.sid}`, `sid=${one.sid}; sid=dead`]) {
      const page = await ask(cookie);
      expect([page.status, clearedBy(page)]).toEqual([200, strays]);
      expect(page.text).toContain(one.email);
    }
    // Of two people it is nobody, as it is for RPC.
    for (const cookie of [`sid=${one.sid}; sid=${two.sid}`, `sid=${two.sid}; sid=${one.sid}`]) {
      const page = await ask(cookie);
      expect([page.status, page.headers.location, clearedBy(page)]).toEqual([303, "/login", strays]);
      const headers = { cookie, origin };
      const begun = await postJson(
        server,
        "/vestibule.v1.AuthService/Authenticate",
        { strategyName: "passkey" },
        headers,
      );
      expect([begun.json.stateOptions.type, clearedBy(begun)]).toEqual(["login", strays]);
    }
    const cookie = `sid=${one.sid}; sid=${two.sid}`;
    const left = await postJson(server, "/vestibule.v1.AuthService/AuthLogout", {}, { cookie, origin });
    expect(clearedBy(left)).toEqual([...strays, "Domain=example.org"]);
    expect((await ask(`sid=${one.sid}`)).status).toBe(303);
    expect((await ask(`sid=${two.sid}`)).status).toBe(303);
  });

  it("stay readable with the key before, and no longer than it is kept", async () => {
    const keys = (name: string) => ({
      hash_secret_key: `hash-${name}`.padEnd(32, "-"),
      block_secret_key: `block-${name}`.padEnd(32, "-"),
    });
    const [old, fresh] = [keys("old"), keys("new")];
    const state = await createState("sqlite");
    onTestFinished(() => state.remove());
    const startWith = (session: object) => startServer({ state, config: { authentication: { session } } });
    let server = await startWith(old);
    const { cookies } = await signedIn(server);
    const statusOf = async (at: TestServer) =>
      (await withCookie(at, cookies.get("sid") ?? "").call("GetCurrentUser")).status;
    expect(await statusOf(server)).toBe(200);
    await server.stop();
    server = await startWith({
      ...fresh,
      previous_hash_secret_keys: [old.hash_secret_key],
      previous_block_secret_keys: [old.block_secret_key],
    });
    expect(await statusOf(server)).toBe(200);
    await server.stop();
    server = await startWith(fresh);
    const dead = withCookie(server, cookies.get("sid") ?? "");
    expect(await dead.call("GetCurrentUser")).toMatchObject(notAuthenticated);
    await server.stop();
  });
});

describe("two servers on one database", () => {
  const env = { VESTIBULE_PUBLIC_URL: "http://localhost:7400" };
  const origin = { origin: env.VESTIBULE_PUBLIC_URL };
  let state: ServerState;
  let a: TestServer;
  let b: TestServer;

  beforeAll(async () => {
    state = await createState("postgres");
    const options = { state, env, config: { ...signInConfig, trusted_proxies: ["127.0.0.1"] } };
    [a, b] = await Promise.all([startServer(options), startServer(options)]);
  });
  afterAll(async () => {
    await Promise.all([a?.kill(), b?.kill()]);
    await state?.remove();
  });

  /** Begins at `a`; the mail is in the folder that both share. */
  async function begin(email: string, strategyName = "mailotp") {
    const person = new Person(a);
    const before = listMails(a);
    const { json } = await person.call("Authenticate", { strategyName, email }, origin);
    const browser = person.cookies.get("vestibule_browser") ?? "";
    const code = await waitForMail(a, email, before).then(findCode);
    const answer = (typed: string, at: TestServer, from = "192.0.2.1") => {
      const tab = new Person(at);
      tab.cookies.set("vestibule_browser", browser);
      const headers = { ...origin, "x-forwarded-for": from };
      return tab.call("AuthCallback", { state: json.state, code: typed }, headers);
    };
    return { code, answer };
  }

  it("judge ten wrong codes of a mailbox in an hour between them, over all its flows, raced (C3)", async () => {
    const email = newEmail();
    const flows = [
      await begin(email),
      await begin(email, "maillink"),
      await begin(email),
      await begin(email),
    ];
    // Twelve wrong answers at once, three a flow; no more than ten are judged, and right ones are no good after that.
    const wrong = await Promise.all(
      flows.flatMap(({ answer }) =>
        ["BCDFGH", "CDFGHJ", "DFGHJK"].map((code, i) => answer(code, i % 2 ? a : b, `198.51.100.${i}`)),
      ),
    );
    for (const answer of wrong) expect(answer).toMatchObject(badCode);
    const fifth = await begin(email);
    for (const server of [a, b]) expect(await fifth.answer(fifth.code, server)).toMatchObject(badCode);
    const other = await begin(newEmail());
    expect((await other.answer(other.code, b)).status).toBe(200);
  });

  it("make one session of a code that is typed at both at once", async () => {
    const { code, answer } = await begin(newEmail());
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => answer(code, i % 2 ? a : b)));
    expect(answers.filter(({ headers }) => headers["set-cookie"] !== undefined)).toHaveLength(1);
  });

  it("refuse within a second whom the other shut out, revoked or deleted", async () => {
    const soon = (ask: () => Promise<unknown>) => expect.poll(ask, { timeout: 5000, interval: 20 });
    const email = newEmail();
    /** Answers what is refused at `a` once the session is over. */
    async function signIn() {
      const { code, answer } = await begin(email);
      const { headers } = await answer(code, b);
      const sid = /^sid=([^;]+)/.exec([headers["set-cookie"] ?? ""].flat()[0] ?? "")?.[1] ?? "";
      const here = withCookie(a, sid);
      const { accessToken } = (await here.call("AuthToken", {}, origin)).json;
      const bearer = { authorization: `Bearer ${accessToken}` };
      const statuses = async () => [
        (await here.call("GetCurrentUser", {}, origin)).status,
        (await postJson(a, "/vestibule.v1.AuthService/GetCurrentUser", {}, bearer)).status,
      ];
      expect(await statuses()).toEqual([200, 200]);
      return { sid, here, statuses };
    }
    const { here, statuses } = await signIn();
    const { id } = (await here.call("GetCurrentUser", {}, origin)).json.user;
    const manage = (method: string) => postJson(b, `/vestibule.v1.UserService/${method}`, { id }, basic(b));
    await manage("DisableUser");
    await soon(statuses).toEqual([403, 403]);
    await manage("EnableUser");
    await soon(statuses).toEqual([401, 401]);

    const next = await signIn();
    const there = withCookie(b, next.sid);
    const { sessions } = (await there.call("ListSessions", {}, origin)).json;
    await there.call("RevokeSession", { sessionId: sessions[0].id }, origin);
    await soon(next.statuses).toEqual([401, 401]);
    await manage("DeleteUser");
    await soon(statuses).toEqual([401, 404]);
  });
});

it("mails as many as its share to a mailbox and for an address, and says the same after that", async () => {
  await using server = await startServer({ config: { limits: { mails_per_address_per_hour: 20 } } });
  const emails = Array.from({ length: 25 }, (_, index) => `box-${index}@example.org`);
  for (const email of emails) {
    const { status, json } = await new Person(server).call("Authenticate", {
      strategyName: "mailotp",
      email,
    });
    expect([status, Object.keys(json)]).toEqual([200, ["state"]]);
  }
  await expect.poll(() => listMails(server).length).toBe(20);
  // Forwarded addresses of somebody whom nobody trusts are not believed.
  const spoofed = { "x-forwarded-for": "203.0.113.9", forwarded: "for=203.0.113.9" };
  const email = "spoof@example.org";
  await new Person(server).call("Authenticate", { strategyName: "mailotp", email }, spoofed);
  await new Person(server).call("Authenticate", { strategyName: "maillink", email }, spoofed);
  await server.stop();
  expect(countMails(server, email)).toBe(0);
});
