/** How people come in at frontends by this service's own sessions, hop by hop. Numbers are of the list of known faults in such gates. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createFrontdoor, type TestFrontdoor } from "./parts/gate.ts";
import { GateVisitor, joinDefault, navigation, type Shown } from "./parts/gate-visitor.ts";
import { basic, postJson, send } from "./parts/http.ts";
import { openRedirects } from "./parts/open-redirects.ts";
import { startServer, type TestServer } from "./parts/server.ts";

const hostname = "app.example.com";
const origin = `https://${hostname}`;
const other = "other.example.com";

let server: TestServer;
let frontdoor: TestFrontdoor;
let publicUrl: string;
let people = 0;

beforeAll(async () => {
  server = await startServer({
    config: { gate: { reason_header: true }, limits: { mails_per_address_per_hour: 1_000 } },
  });
  publicUrl = `http://localhost:${server.port}`;
  frontdoor = await createFrontdoor(server, { hostname, scheme: "https" });
  await addFrontend(other);
});
afterAll(() => server?.[Symbol.asyncDispose]());

const addFrontend = (host: string, more: object = {}) =>
  frontdoor.call("POST", `/frontdoor/${frontdoor.id}/custom-frontends`, {
    hostname: host,
    scheme: "https",
    authProviderIds: [frontdoor.vestibuleProviderId],
    ...more,
  });

/** Somebody new at a browser, who knows no cookies yet. */
const newVisitor = (...hosts: string[]) =>
  new GateVisitor(
    server,
    ...[hostname, other, ...hosts].map((host) => ({ origin: `https://${host}`, frontdoor })),
  );

/** Somebody new, who is signed in to the server and a member of the frontdoor's organization. */
async function newMember(...hosts: string[]): Promise<GateVisitor> {
  const visitor = newVisitor(...hosts);
  people += 1;
  await visitor.person.signIn(`member-${people}@example.org`);
  await joinDefault(visitor, basic(server));
  return visitor;
}

/** Goes on until the frontend is to be told the code. */
const findFinish = async (visitor: GateVisitor, url = `${origin}/x`) =>
  (await visitor.open(url, `${new URL(url).origin}/.vestibule/finish`)).url;

const toHeading = ({ text }: Pick<Shown, "text">) => /<h1>([^<]*)<\/h1>/.exec(text)?.[1];
const isIn = async (visitor: GateVisitor, url = `${origin}/x`) => (await visitor.hop(url)).status === 200;

/** A request of the frontend's own pages as a proxy passes it on. */
function askOwn(path: string, headers: Record<string, string | string[]> = {}, method = "GET") {
  const told = { "x-vestibule-proxy-token": frontdoor.proxyToken, "x-forwarded-host": hostname };
  return send(`${server.url}/frontdoor/${frontdoor.id}/gate/browser${path}`, {
    method,
    headers: { ...navigation, ...told, ...headers },
  });
}

describe("somebody who opens an app", () => {
  it("signs in, and is where they wanted to go", async () => {
    const visitor = newVisitor();
    const asked = await visitor.open(`${origin}/dash?x=%2F&y`);
    expect(asked.hops.map((hop) => hop.replace(/(state(?:=|%3D))[\w-]{43}/, "$1S"))).toEqual([
      `${origin}/dash?x=%2F&y`,
      `${origin}/.vestibule/start?rt=%2Fdash%3Fx%3D%252F%26y`,
      `${publicUrl}/gate/login?state=S`,
      `${publicUrl}/login?return_to=${encodeURIComponent(`${publicUrl}/gate/login?state=S&with=${frontdoor.vestibuleProviderId}&signed_in=1`)}`,
    ]);
    await visitor.person.signIn("ada@example.org");
    const id = await joinDefault(visitor, basic(server));
    const shown = await visitor.open(new URL(asked.url).searchParams.get("return_to") ?? "");
    expect(shown).toMatchObject({ url: `${origin}/dash?x=%2F&y`, status: 200 });
    expect(shown.told).toMatchObject({
      "x-vestibule-subject": id,
      "x-vestibule-email": "ada@example.org",
      "x-vestibule-provider": frontdoor.vestibuleProviderId,
      // What the app is sent has none of the gate's own.
      cookie: "",
    });
    const cookies = [...visitor.jar(hostname).keys()].toSorted();
    expect(cookies).toEqual(["__Host-vestibule", "__Host-vestibule-flow"]);
  });

  it("is told nothing in passing: no referrer, nothing kept, cookies of that host alone", async () => {
    const visitor = await newMember();
    const start = await visitor.hop(`${origin}/.vestibule/start?rt=%2Fx`);
    expect(start.headers).toMatchObject({ "referrer-policy": "no-referrer", "cache-control": "no-store" });
    expect(start.headers["set-cookie"]).toEqual([
      expect.stringMatching(
        /^__Host-vestibule-flow=[\w-]{43}\.0\.0; Path=\/; Secure; HttpOnly; SameSite=Lax; Max-Age=86400$/,
      ),
    ]);
    const login = await visitor.hop(String(start.headers.location));
    expect(login.headers).toMatchObject({ "referrer-policy": "no-referrer", "cache-control": "no-store" });
    const finish = await visitor.hop(String(login.headers.location));
    expect(finish.headers).toMatchObject({ "referrer-policy": "no-referrer", "cache-control": "no-store" });
    expect(finish.headers["set-cookie"]).toEqual([
      expect.stringMatching(
        /^__Host-vestibule=[\w-]{43}; Path=\/; Secure; HttpOnly; SameSite=Lax; Max-Age=\d+$/,
      ),
      expect.stringMatching(/^__Host-vestibule-flow=[\w-]{43}\.1\.\d+; /),
    ]);
    // No cookie is ever set on allow.
    expect((await visitor.hop(`${origin}/x`)).told).not.toHaveProperty("set-cookie");
  });

  it("goes straight on with a live session, whatever flow is left", async () => {
    const visitor = await newMember();
    await visitor.open(`${origin}/x`);
    const again = await visitor.open(`${origin}/.vestibule/start?rt=%2Fy`);
    expect(again.hops).toEqual([`${origin}/.vestibule/start?rt=%2Fy`, `${origin}/y`]);
    const stale = await visitor.open(`${origin}/.vestibule/finish?code=${"x".repeat(43)}&rt=%2Fz`);
    expect(stale).toMatchObject({ url: `${origin}/z`, status: 200 });
  });

  it("is never led away, whatever is asked for", async () => {
    const visitor = await newMember();
    await visitor.open(`${origin}/x`);
    const asked = ["/.vestibule/logout", "/.vestibule/start", `/${"x".repeat(4096)}`, "/\u00fc", ""];
    for (const rt of [...openRedirects, ...asked]) {
      const start = await visitor.hop(`${origin}/.vestibule/start?rt=${encodeURIComponent(rt)}`);
      const isPath = /^\/[!-~]*$/.test(rt) && !asked.includes(rt) && !rt.includes("\\");
      expect([rt, start.status, start.headers.location]).toEqual([rt, 303, origin + (isPath ? rt : "/")]);
    }
  });

  it("and brings 4 KB of cookies is let in all the same, and they are the app's", async () => {
    const visitor = await newMember();
    const big = "x".repeat(4_000);
    visitor.jar(hostname).set("app", big);
    const shown = await visitor.open(`${origin}/x`);
    expect(shown.told?.cookie).toBe(`app=${big}`);
  });

  it("with tabs that took each other's cookie is sent round once by each, and never more", async () => {
    const visitor = await newMember();
    const flow = "__Host-vestibule-flow";
    const finishes: string[] = [];
    for (let tab = 0; tab < 5; tab++) {
      // As if all had begun before any cookie was there.
      visitor.jar(hostname).delete(flow);
      finishes.push(await findFinish(visitor, `${origin}/tab/${tab}`));
    }
    const early = await Promise.all(finishes.slice(0, 4).map((finish) => visitor.hop(finish)));
    expect(early.map(({ status, headers }) => [status, headers.location])).toEqual(
      early.map((_, tab) => [303, `${origin}/.vestibule/start?rt=%2Ftab%2F${tab}&second=1`]),
    );
    const second = await findFinish(visitor, String(early[0]?.headers.location));
    const mine = visitor.jar(hostname).get(flow) ?? "";
    visitor.jar(hostname).set(flow, `${"x".repeat(43)}.0.0`);
    const over = await visitor.open(second);
    expect([over.status, toHeading(over)]).toEqual([400, "This sign-in is over"]);
    visitor.jar(hostname).set(flow, mine);
    expect(await visitor.open(second)).toMatchObject({ url: `${origin}/tab/0`, status: 200 });
  });

  it("with fifty tabs at once is in with each, and each is where it was to be", async () => {
    const visitor = await newMember();
    const tabs = Array.from({ length: 50 }, (_, tab) => `${origin}/tab/${tab}`);
    const finishes = await Promise.all(tabs.map((tab) => findFinish(visitor, tab)));
    const shown = await Promise.all(finishes.map((finish) => visitor.open(finish)));
    expect(shown.map(({ url, status }) => `${status} ${url}`)).toEqual(tabs.map((tab) => `200 ${tab}`));
  });
});

describe("what is no navigation", () => {
  const kinds = {
    "a script": { "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script" },
    "a call": { "sec-fetch-mode": "cors", "sec-fetch-dest": "empty" },
    // 40
    "a manifest": { "sec-fetch-mode": "cors", "sec-fetch-dest": "manifest" },
    "a service worker": { "sec-fetch-mode": "same-origin", "sec-fetch-dest": "serviceworker" },
    "a frame": { "sec-fetch-dest": "iframe" },
    "a program": { accept: "*/*", "sec-fetch-mode": "", "sec-fetch-dest": "", "sec-fetch-site": "" },
  };

  it.each(Object.entries(kinds))("%s is told 401 and begins nothing", async (_, headers) => {
    const visitor = newVisitor();
    for (const url of [`${origin}/x`, `${origin}/.vestibule/start`]) {
      const answer = await visitor.hop(url, { headers: noEmpty({ ...navigation, ...headers }) });
      expect(answer).toMatchObject({ status: 401, json: { code: "unauthenticated" } });
      expect(answer.headers).not.toHaveProperty("set-cookie");
    }
    const post = await visitor.hop(`${origin}/x`, { method: "POST", headers: navigation });
    expect(post).toMatchObject({ status: 401, json: { code: "unauthenticated" } });
  });

  it("changes nothing about a login that is on its way (26)", async () => {
    const visitor = await newMember();
    const finish = await findFinish(visitor, `${origin}/page`);
    const before = new Map(visitor.jar(hostname));
    const asset = { ...navigation, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image" };
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, asked) => visitor.hop(`${origin}/asset/${asked}`, { headers: asset })),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]));
    expect(visitor.jar(hostname)).toEqual(before);
    expect(await visitor.open(finish)).toMatchObject({ url: `${origin}/page`, status: 200 });
  });

  it("by HEAD begins and ends nothing", async () => {
    const visitor = await newMember();
    const finish = await findFinish(visitor);
    for (const url of [`${origin}/.vestibule/start?rt=%2F`, finish]) {
      const answer = await visitor.hop(url, { method: "HEAD" });
      expect(answer.status).toBe(200);
      expect(answer.headers).not.toHaveProperty("set-cookie");
    }
    expect(await visitor.open(finish)).toMatchObject({ status: 200 });
  });
});

describe("a code", () => {
  it("is good once", async () => {
    const visitor = await newMember();
    const finish = await findFinish(visitor);
    expect(await visitor.open(finish)).toMatchObject({ url: `${origin}/x`, status: 200 });
    visitor.jar(hostname).delete("__Host-vestibule");
    const again = await visitor.open(finish);
    expect([again.status, toHeading(again)]).toEqual([400, "This sign-in is over"]);
    expect(again.text).toContain(`href="${origin}/.vestibule/start?rt=%2Fx"`);
    expect(await isIn(visitor)).toBe(false);
  });

  it("of fifty that come with it at once lets one in, and one session begins", async () => {
    const visitor = await newMember();
    const finish = await findFinish(visitor);
    const answers = await Promise.all(Array.from({ length: 50 }, () => visitor.hop(finish)));
    const isLetIn = ({ headers }: { headers: Shown["headers"] }) =>
      [headers["set-cookie"] ?? []].flat().some((line) => line.startsWith("__Host-vestibule="));
    expect(answers.filter(isLetIn)).toHaveLength(1);
  });

  it("is of no use at another host, frontend or frontdoor, and stays good at its own (34)", async () => {
    const wildcard = await addFrontend("*.wild.example.com");
    const [one, two] = ["one.wild.example.com", "two.wild.example.com"];
    const door = await createFrontdoor(server, { hostname, scheme: "https" });
    const visitor = await newMember(one, two);
    const finish = await findFinish(visitor, `https://${one}/x`);
    const { search } = new URL(finish);
    const flow = visitor.jar(one).get("__Host-vestibule-flow") ?? "";
    const cookie = `__Host-vestibule-flow=${flow}`;
    const ask = (id: string, token: string, host: string) =>
      send(`${server.url}/frontdoor/${id}/gate/browser/finish${search}`, {
        headers: { ...navigation, cookie, "x-vestibule-proxy-token": token, "x-forwarded-host": host },
      });
    for (const answer of [
      await ask(frontdoor.id, frontdoor.proxyToken, two),
      await ask(frontdoor.id, frontdoor.proxyToken, hostname),
      await ask(door.id, door.proxyToken, hostname),
    ]) {
      expect([answer.status, toHeading(answer)]).toEqual([400, "This sign-in is over"]);
      expect(answer.headers["set-cookie"]).toBeUndefined();
    }
    expect(await visitor.open(finish)).toMatchObject({ url: `https://${one}/x`, status: 200 });
    // Nor is the session, at another host of the same frontend.
    visitor.jar(two).set("__Host-vestibule", visitor.jar(one).get("__Host-vestibule") ?? "");
    expect(await isIn(visitor, `https://${two}/x`)).toBe(false);
    await frontdoor.call("DELETE", `/frontdoor/${frontdoor.id}/custom-frontends/${wildcard.id}`);
  });

  it("is of no use to another browser, which signs in by itself", async () => {
    const mallory = await newMember();
    const finish = await findFinish(mallory);
    // Without a flow cookie of its own.
    const stranger = newVisitor();
    const blocked = await stranger.open(finish);
    expect([blocked.status, toHeading(blocked)]).toEqual([400, "This browser keeps no cookies here"]);
    // With one: it is in as itself, or has to sign in, and never as somebody else.
    const victim = await newMember();
    await findFinish(victim);
    const { id } = (await victim.person.call("GetCurrentUser")).json.user;
    expect((await victim.open(finish)).told).toMatchObject({ "x-vestibule-subject": id });
    expect(await mallory.open(finish)).toMatchObject({ url: `${origin}/x`, status: 200 });
  });

  it.each(["", "x", "x".repeat(43), "x".repeat(9_000)])("that is none is told so: %#", async (code) => {
    const visitor = await newMember();
    await findFinish(visitor);
    const shown = await visitor.open(`${origin}/.vestibule/finish?code=${code}`);
    expect(shown.status).toBe(400);
    expect(await isIn(visitor)).toBe(false);
  });
});

/** Headers without those that are empty. */
function noEmpty(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== ""));
}

describe("the pages of a frontend", () => {
  it("are told to nobody but its proxy, and only of hosts that it says once", async () => {
    for (const path of ["/start", "/finish", "/logout"]) {
      expect(await askOwn(path, { "x-vestibule-proxy-token": "vstp_bad" })).toMatchObject({ status: 403 });
      const unknown = await askOwn(path, { "x-forwarded-host": "unknown.example.com" });
      expect([unknown.status, toHeading(unknown)]).toEqual([404, "Nothing is set up at this address"]);
      for (const host of ["", "a@app.example.com", "app.example.com/x", `${hostname}, ${hostname}`]) {
        expect(await askOwn(path, { "x-forwarded-host": host })).toMatchObject({ status: 404 });
      }
      expect(await askOwn(path, { "x-forwarded-host": [hostname, hostname] })).toMatchObject({ status: 404 });
    }
  });

  it("are no others, however they are asked for (28, 29)", async () => {
    for (const path of ["/../x", "/./start", "/%2e%2e/x", "/start/", "//start", "/START", "/start;x", ""]) {
      expect(await askOwn(path)).toMatchObject({ status: 404, json: { code: "not_found" } });
    }
    expect(await askOwn("/start", {}, "POST")).toMatchObject({ status: 405 });
    expect(await askOwn("/logout", {}, "PUT")).toMatchObject({ status: 405 });
    const query = `?rt=%2Fx&frontdoor=${frontdoor.id}&host=${other}`;
    const start = await askOwn(`/start${query}`, {
      "x-original-url": `https://${other}/y`,
      forwarded: `host=${other}`,
    });
    const login = await newVisitor().open(String(start.headers.location));
    expect(login.hops.join()).not.toContain(other);
  });

  it("carry no permission for other origins (35), and end the connection of whoever wants an upgrade (16)", async () => {
    const foreign = { origin: "https://evil.example" };
    for (const path of ["/start", "/finish", "/logout"]) {
      expect((await askOwn(path, foreign)).headers).not.toHaveProperty("access-control-allow-origin");
    }
    // Public keys are everybody's, and nobody's credentials go along.
    const keys = await askOwn("/jwks.json", foreign);
    expect(keys.headers).toMatchObject({ "access-control-allow-origin": "*" });
    expect(keys.headers).not.toHaveProperty("access-control-allow-credentials");
    const upgrade = await askOwn("/start", { upgrade: "websocket", connection: "upgrade" });
    expect(upgrade.headers.connection).toBe("close");
    expect(await askOwn("/start", { upgrade: "h2c", connection: "upgrade" })).toMatchObject({ status: 403 });
    expect(await askOwn("/start", { "x-vestibule-subject": "evil" })).toMatchObject({ status: 403 });
  });

  it("say so when somebody is sent round in circles, and stop", async () => {
    const visitor = await newMember();
    const seen: (string | undefined)[] = [];
    for (let round = 0; round < 5; round++) {
      const shown = await visitor.open(`${origin}/x`);
      seen.push(shown.status === 200 ? "in" : toHeading(shown));
      // As where a proxy drops the cookie.
      visitor.jar(hostname).delete("__Host-vestibule");
    }
    expect(seen).toEqual(["in", "in", "in", ...Array(2).fill("You are being sent round in circles")]);
  });
});

describe("signing out", () => {
  it("asks first, and ends the session for good (4)", async () => {
    const visitor = await newMember();
    await visitor.open(`${origin}/x`);
    const session = visitor.jar(hostname).get("__Host-vestibule") ?? "";
    const page = await visitor.open(`${origin}/.vestibule/logout`);
    expect([page.status, toHeading(page)]).toEqual([200, "Sign out"]);
    expect(await isIn(visitor)).toBe(true);
    const done = await visitor.submit(page);
    expect([done.status, toHeading(done)]).toEqual([200, "You are signed out"]);
    expect(visitor.jar(hostname).has("__Host-vestibule")).toBe(false);
    visitor.jar(hostname).set("__Host-vestibule", session);
    expect(await visitor.hop(`${origin}/x`)).toMatchObject({
      status: 302,
      headers: { "x-vestibule-reason": "SESSION_ENDED" },
    });
  });

  it("leads back to a public page, and to no other", async () => {
    for (const [rt, url] of [
      ["/public/bye", `${origin}/public/bye`],
      ["/private", `${origin}/.vestibule/logout`],
      ["//evil.example/public/", `${origin}/.vestibule/logout`],
      ["https://evil.example/", `${origin}/.vestibule/logout`],
    ] as const) {
      const visitor = await newMember();
      await visitor.open(`${origin}/x`);
      const page = await visitor.open(`${origin}/.vestibule/logout?rt=${encodeURIComponent(rt)}`);
      expect([rt, (await visitor.submit(page)).url]).toEqual([rt, url]);
      expect(await isIn(visitor)).toBe(false);
    }
  });

  it.each([
    [{ origin: "https://evil.example" }],
    [{ origin: "null" }],
    [{ origin: `http://${hostname}` }],
    [{ origin: `https://${other}` }],
    [{ "sec-fetch-site": "same-site" }],
    [{ "sec-fetch-site": "cross-site" }],
    [{ "sec-fetch-site": "" }],
  ])("is refused from elsewhere: %j", async (headers) => {
    const visitor = await newMember();
    await visitor.open(`${origin}/x`);
    const answer = await visitor.hop(`${origin}/.vestibule/logout`, {
      method: "POST",
      headers: noEmpty({ ...navigation, "content-type": "application/x-www-form-urlencoded", ...headers }),
      body: "",
    });
    expect(answer).toMatchObject({ status: 403 });
    expect(await isIn(visitor)).toBe(true);
  });

  it("is asked about at the next sign-in: as who one is, or as somebody else", async () => {
    const visitor = await newMember();
    await visitor.open(`${origin}/x`);
    await visitor.submit(await visitor.open(`${origin}/.vestibule/logout`));
    const asked = await visitor.open(`${origin}/x`);
    expect([asked.status, toHeading(asked)]).toEqual([200, "Welcome back"]);
    expect(asked.text).toContain("/login?again=1&#38;return_to=");
    expect(await isIn(visitor)).toBe(false);
    expect(await visitor.submit(asked)).toMatchObject({ url: `${origin}/x`, status: 200 });
    // Once: the next time nobody is asked.
    visitor.jar(hostname).delete("__Host-vestibule");
    expect(await visitor.open(`${origin}/x`)).toMatchObject({ url: `${origin}/x`, status: 200 });
  });

  it("leaves everything else as it is", async () => {
    const visitor = await newMember();
    await visitor.open(`${origin}/x`);
    await visitor.open(`https://${other}/x`);
    await visitor.submit(await visitor.open(`${origin}/.vestibule/logout`));
    expect(await isIn(visitor, `https://${other}/x`)).toBe(true);
    expect((await visitor.person.call("GetCurrentUser")).status).toBe(200);
  });

  it("and in again as somebody else ends what was before", async () => {
    const visitor = await newMember();
    const finish = await findFinish(visitor);
    const first = await newMember();
    await first.open(`${origin}/x`);
    const before = first.jar(hostname).get("__Host-vestibule") ?? "";
    // The same browser, after somebody else has signed in at another tab.
    visitor.jar(hostname).set("__Host-vestibule", before);
    expect((await visitor.open(finish)).status).toBe(200);
    expect(visitor.jar(hostname).get("__Host-vestibule")).not.toBe(before);
    expect(await isIn(first)).toBe(false);
  });

  it("to the server before the code is used lets nobody in", async () => {
    const visitor = await newMember();
    const finish = await findFinish(visitor);
    await visitor.person.call("RevokeAllSessions", {});
    const shown = await visitor.open(finish);
    expect([shown.status, toHeading(shown)]).toEqual([400, "This sign-in is over"]);
  });

  it("to the server ends every session that came of it, at once", async () => {
    const visitor = await newMember();
    await visitor.open(`${origin}/x`);
    await visitor.open(`https://${other}/x`);
    await visitor.person.call("RevokeAllSessions", {});
    expect(await isIn(visitor)).toBe(false);
    expect(await isIn(visitor, `https://${other}/x`)).toBe(false);
  });
});

it("where session cookies are strict, the login has the browser come again by itself", async () => {
  const config = { authentication: { session: { same_site: "strict" } } };
  await using strict = await startServer({ config });
  const door = await createFrontdoor(strict, { hostname, scheme: "https" });
  const visitor = new GateVisitor(strict, { origin, frontdoor: door });
  const start = await visitor.hop(`${origin}/.vestibule/start?rt=%2Fx`);
  const login = String(start.headers.location);
  const headers = { ...navigation, "sec-fetch-site": "cross-site" };
  const page = await visitor.hop(login, { headers });
  expect([page.status, toHeading(page)]).toEqual([200, "One moment"]);
  expect(page.text).toContain(`http-equiv="refresh" content="0; url=${login}"`);
  const again = await visitor.hop(login, { headers: { ...navigation, "sec-fetch-site": "same-origin" } });
  expect(again.status).toBe(303);
});

/** A call of a person at GateService. */
const ownCall = (visitor: GateVisitor, method: string, message: object = {}) =>
  postJson(server, `/vestibule.v1.GateService/${method}`, message, visitor.person.headers());

describe("somebody from outside of the frontdoor's organization", () => {
  const rpc = async (method: string, message: object) => {
    const answer = await postJson(server, `/vestibule.v1.${method}`, message, basic(server));
    expect(answer.status, answer.text).toBe(200);
    return answer.json;
  };

  /** A frontend whose provider lets members of another organization in as well. */
  async function open(host: string, door: TestFrontdoor, orgId: string): Promise<void> {
    const { id } = await door.call("POST", `/frontdoor/${door.id}/auth-providers`, {
      name: `partners-${host}`,
      type: "VESTIBULE",
      data: { allowedOrgIds: [orgId] },
    });
    const body = { hostname: host, scheme: "https", authProviderIds: [id] };
    await door.call("POST", `/frontdoor/${door.id}/custom-frontends`, body);
  }

  it("says once, for each frontdoor, that those who run it may know who they are", async () => {
    const elsewhere = await createFrontdoor(server, { hostname: "x.example.com", scheme: "https" });
    const { organization } = await rpc("OrganizationService/CreateOrganization", {
      body: { name: "partners", title: "Partners & Co" },
    });
    const [here, there, away] = ["p1.example.com", "p2.example.com", "p3.example.com"];
    for (const host of [here, there]) await open(host, frontdoor, organization.id);
    await open(away, elsewhere, organization.id);
    const apps = [here, there].map((host) => ({ origin: `https://${host}`, frontdoor }));
    const visitor = new GateVisitor(server, ...apps, { origin: `https://${away}`, frontdoor: elsewhere });
    await visitor.person.signIn("partner@example.org");
    const { id } = (await visitor.person.call("GetCurrentUser")).json.user;
    // Not let in yet, and nobody is told that they tried.
    const denied = await visitor.open(`https://${here}/x`);
    expect([denied.status, toHeading(denied)]).toEqual([403, "You cannot come in here"]);
    await rpc("OrganizationService/AddMember", { orgId: "partners", userId: id, role: "viewer" });

    const asked = await visitor.open(`https://${here}/x`);
    expect([asked.status, toHeading(asked)]).toEqual([200, `Tell ${here} who you are?`]);
    expect(asked.text).toContain("partner@example.org");
    // Another's yes is not theirs, nor is one to something else.
    for (const fields of [{ session: crypto.randomUUID() }, { answer: "continue" }]) {
      expect(toHeading(await visitor.submit(asked, fields))).toBe(`Tell ${here} who you are?`);
    }
    const foreign = await visitor.submit(asked, { token: "x" });
    expect([foreign.status, toHeading(foreign)]).toEqual([403, "That did not come from this page"]);
    const shown = await visitor.submit(asked);
    expect(shown.told).toMatchObject({
      "x-vestibule-subject": id,
      "x-vestibule-organizations": organization.id,
    });
    expect(await visitor.open(`https://${there}/y`)).toMatchObject({
      url: `https://${there}/y`,
      status: 200,
    });
    expect(toHeading(await visitor.open(`https://${away}/z`))).toBe(`Tell ${away} who you are?`);
    // Who ends it themselves is asked again.
    const { gateSessions } = (await ownCall(visitor, "ListOwnGateSessions")).json;
    expect(gateSessions).toHaveLength(2);
    await ownCall(visitor, "EndOwnGateSession", { id: gateSessions[0].id });
    visitor.jar(here).delete("__Host-vestibule");
    expect(toHeading(await visitor.open(`https://${here}/x`))).toBe(`Tell ${here} who you are?`);
    const { records } = await rpc("AuditService/ListAuditRecords", { action: "gate_login.confirm" });
    expect(records).toMatchObject([{ target: { id }, details: { frontdoor: frontdoor.id } }]);
  });
});

it("two session cookies are nobody's (17)", async () => {
  const visitor = await newMember();
  await visitor.open(`${origin}/x`);
  const session = visitor.jar(hostname).get("__Host-vestibule");
  const cookie = `__Host-vestibule=${session}; __Host-vestibule=${session}`;
  const answer = await visitor.hop(`${origin}/x`, { headers: { ...navigation, cookie } });
  expect(answer).toMatchObject({ status: 401, headers: { "x-vestibule-reason": "AMBIGUOUS_CREDENTIAL" } });
});
