/** How people come in at frontends by providers of the frontdoor's own, hop by hop, with real `oidc-provider`s. */
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createFrontdoor, type TestFrontdoor } from "./parts/gate.ts";
import { GateVisitor, type Shown } from "./parts/gate-visitor.ts";
import { type IdentityProvider, startIdentityProvider } from "./parts/identity-provider.ts";
import { findFreePort, startServer, type TestServer } from "./parts/server.ts";

const hostname = "app.example.com";
const origin = `https://${hostname}`;

let server: TestServer;
let frontdoor: TestFrontdoor;
let frontend: string;
let one: IdentityProvider;
let two: IdentityProvider;
let oneId: string;
let twoId: string;

beforeAll(async () => {
  const port = await findFreePort();
  const accounts = {
    ada: { email: "ada@example.org", email_verified: true, name: "Ada" },
    eve: { email: "eve@evil.example", email_verified: true },
  };
  const common = { accounts, redirectUris: [], redirectsBelow: `http://localhost:${port}/gate/callback/` };
  one = await startIdentityProvider(common);
  two = await startIdentityProvider({ ...common, refreshes: true });
  server = await start(port);
  frontdoor = await createFrontdoor(server, { hostname, scheme: "https" });
  oneId = await addProvider("one", one);
  twoId = await addProvider("two", two);
  frontend = await addFrontend(hostname, [oneId, twoId], frontdoor.frontendId);
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await one?.stop();
  await two?.stop();
});
beforeEach(() => {
  one.setAccount("ada");
  two.setAccount("ada");
});

const start = (port: number, state?: TestServer["state"]) =>
  startServer({
    port,
    ...(state && { state }),
    config: { gate: { reason_header: true }, egress: { allow_cidrs: ["127.0.0.0/8"] } },
  });

async function addProvider(
  name: string,
  { issuer, clientId, clientSecret }: IdentityProvider,
): Promise<string> {
  const data = { issuer, clientId, clientSecret };
  const body = { name, type: "OIDC", data };
  return (await frontdoor.call("POST", `/frontdoor/${frontdoor.id}/auth-providers`, body)).id;
}

/** Makes a frontend, or changes one. Answers its id. */
async function addFrontend(host: string, ids: readonly string[], id?: string, policy = {}): Promise<string> {
  const path = `/frontdoor/${frontdoor.id}/custom-frontends`;
  const body = { hostname: host, scheme: "https", authProviderIds: ids, policy };
  const made = await (id === undefined
    ? frontdoor.call("POST", path, body)
    : frontdoor.call("PUT", `${path}/${id}`, body));
  return made.id ?? id;
}

const newVisitor = (...hosts: string[]) =>
  new GateVisitor(server, ...[hostname, ...hosts].map((host) => ({ origin: `https://${host}`, frontdoor })));

const toHeading = ({ text }: Pick<Shown, "text">) => /<h1>([^<]*)<\/h1>/.exec(text)?.[1];
const said = (shown: Shown) => [shown.status, toHeading(shown)];
const callbackOf = (id: string) => `http://localhost:${server.port}/gate/callback/${id}`;
const choose = (page: Shown, id: string) => {
  const link =
    new RegExp(`href="(/gate/login\\?state=[\\w-]{43}&#38;with=${id})"`).exec(page.text)?.[1] ?? "";
  return new URL(link.replace("&#38;", "&"), page.url).href;
};

/** Chooses a provider, and goes as far as its answer, which is not given yet. */
async function findAnswer(visitor: GateVisitor, id: string): Promise<string> {
  const chooser = await visitor.open(`${origin}/x`);
  return (await visitor.open(choose(chooser, id), callbackOf(""))).url;
}

describe("somebody who opens an app of two providers", () => {
  it("chooses one, signs in there, and is in as who it says", async () => {
    const visitor = newVisitor();
    const chooser = await visitor.open(`${origin}/x?y`);
    expect(said(chooser)).toEqual([200, "Sign in"]);
    expect([...chooser.text.matchAll(/Continue with (\w+)/g)].map(([, name]) => name)).toEqual([
      "One",
      "Two",
    ]);
    for (const [id, path] of [[oneId, "/x?y"]] as const) {
      const shown = await visitor.open(choose(chooser, id));
      expect([shown.status, shown.url]).toEqual([200, `${origin}${path}`]);
      expect(shown.told).toMatchObject({
        "x-vestibule-subject": `${id}:ada`,
        "x-vestibule-email": "ada@example.org",
        "x-vestibule-name": "Ada",
        "x-vestibule-provider": id,
      });
    }
  });

  it("has each provider's answer taken at its own path alone", async () => {
    const visitor = newVisitor();
    const answer = await findAnswer(visitor, oneId);
    const mixed = await visitor.open(answer.replace(oneId, twoId));
    expect(said(mixed)).toEqual([400, "This sign-in began elsewhere"]);
    expect(two.codes).toEqual([]);
    expect(await visitor.open(answer)).toMatchObject({ url: `${origin}/x`, status: 200 });
  });

  it("has an answer taken once, and in one browser", async () => {
    const visitor = newVisitor();
    const answer = await findAnswer(visitor, oneId);
    const stranger = newVisitor();
    const taken = await stranger.open(answer);
    // Sent on to sign in by itself: the visit is not its own, and it gets nowhere by it.
    expect(said(taken)).toEqual([400, "This browser keeps no cookies here"]);
    expect(await visitor.open(answer)).toMatchObject({ url: `${origin}/x`, status: 200 });
    const again = await visitor.open(answer);
    expect(said(again)).toEqual([400, "This sign-in is over"]);
    expect(again.text).toContain(`${origin}/.vestibule/start?rt=%2Fx`);
    expect(await visitor.open(`${origin}/.vestibule/start?rt=%2Fx`)).toMatchObject({ url: `${origin}/x` });
  });

  it("is told when the provider says no", async () => {
    const visitor = newVisitor();
    const answer = new URL(await findAnswer(visitor, oneId));
    answer.searchParams.delete("code");
    answer.searchParams.set("error", "access_denied");
    const refused = await visitor.open(answer.href);
    expect(said(refused)).toEqual([403, "You are not signed in"]);
    expect(refused.text).toContain("Try again");
  });

  it.each([
    ["code", "nonsense", 400],
    ["code", "", 403],
    ["iss", "https://evil.example", 400],
  ])("is not let in by nonsense: %s=%j", async (name, value, status) => {
    const visitor = newVisitor();
    const answer = new URL(await findAnswer(visitor, oneId));
    answer.searchParams.set(name, value);
    const refused = await visitor.open(answer.href);
    expect(refused.status).toBe(status);
    expect((await visitor.hop(`${origin}/x`)).status).toBe(302);
  });

  it("is told when the provider is away, and comes in once it is back", async () => {
    const visitor = newVisitor();
    const answer = await findAnswer(visitor, oneId);
    one.setDown(true);
    const away = await visitor.open(answer);
    expect(said(away)).toEqual([503, "One does not answer"]);
    one.setDown(false);
    expect(await visitor.open(`${origin}/x`)).toMatchObject({ status: 200 });
    expect(toHeading(await visitor.open(`${origin}/x`))).toBe("Sign in");
  });

  it("who has signed out is asked again there", async () => {
    const visitor = newVisitor();
    await visitor.open(choose(await visitor.open(`${origin}/x`), oneId));
    await visitor.submit(await visitor.open(`${origin}/.vestibule/logout`));
    one.prompts.length = 0;
    one.setAccount("eve");
    visitor.jar(new URL(one.issuer).host).clear();
    const shown = await visitor.open(choose(await visitor.open(`${origin}/x`), oneId));
    expect(one.prompts).toEqual([expect.stringMatching(/^(select_account|login)$/)]);
    expect(shown.told).toMatchObject({ "x-vestibule-subject": `${oneId}:eve` });
  });
});

describe("the policy of a frontend", () => {
  it("is said at the login to whoever it denies, who gets no session (3)", async () => {
    const host = "staff.example.com";
    const id = await addFrontend(host, [oneId], undefined, { emailPatterns: ["*@example.org"] });
    const visitor = newVisitor(host);
    one.setAccount("eve");
    const denied = await visitor.open(`https://${host}/x`);
    expect(said(denied)).toEqual([403, "You cannot come in here"]);
    expect(denied.text).toMatch(/ask whoever runs[\s\S]*staff\.example\.com/);
    expect(visitor.jar(host).has("__Host-vestibule")).toBe(false);
    const other = /href="(\/gate\/login\?[^"]*)"/.exec(denied.text)?.[1]?.replaceAll("&#38;", "&") ?? "";
    one.setAccount("ada");
    visitor.jar(new URL(one.issuer).host).clear();
    one.prompts.length = 0;
    const shown = await visitor.open(new URL(other, denied.url).href);
    expect(one.prompts).toEqual([expect.stringMatching(/^(select_account|login)$/)]);
    expect(shown).toMatchObject({ url: `https://${host}/x`, status: 200 });
    await frontdoor.call("DELETE", `/frontdoor/${frontdoor.id}/custom-frontends/${id}`);
  });
});

describe("a session that is to be renewed", () => {
  /** Makes every session's time to be renewed come. */
  async function passTime(): Promise<void> {
    const { port, state } = server;
    await server.stop();
    const database = new Database(join(state.dataDir, "vestibule.db"));
    database.prepare("update gate_sessions set renew_at = created_at - 1").run();
    database.close();
    server = await start(port, state);
  }

  /** The same browser, at the server that runs now. */
  function comeAgain(visitor: GateVisitor): GateVisitor {
    const again = new GateVisitor(server, ...visitor.apps);
    for (const host of [hostname, `localhost:${server.port}`, new URL(one.issuer).host]) {
      for (const [name, value] of visitor.jar(host)) again.jar(host).set(name, value);
    }
    return again;
  }

  it("is by a refresh token, of which nobody sees anything but the provider", async () => {
    const visitor = newVisitor();
    await visitor.open(choose(await visitor.open(`${origin}/x`), twoId));
    await passTime();
    two.grants.length = 0;
    const cookie = visitor.jar(hostname).get("__Host-vestibule");
    const again = comeAgain(visitor);
    const shown = await again.open(`${origin}/x`);
    expect([shown.status, shown.hops]).toEqual([200, [`${origin}/x`]]);
    expect(two.grants).toEqual(["refresh_token"]);
    expect(again.jar(hostname).get("__Host-vestibule")).toBe(cookie);
  });

  it("is by a visit that shows nothing, where there is none, and by asking where that is no use", async () => {
    const visitor = newVisitor();
    await visitor.open(choose(await visitor.open(`${origin}/x`), oneId));
    await passTime();
    one.prompts.length = 0;
    const again = comeAgain(visitor);
    const shown = await again.open(`${origin}/y`);
    expect([shown.status, shown.url]).toEqual([200, `${origin}/y`]);
    expect(one.prompts).toEqual(["none"]);
    await passTime();
    one.prompts.length = 0;
    const unknown = comeAgain(again);
    unknown.jar(new URL(one.issuer).host).clear();
    expect(await unknown.open(`${origin}/z`)).toMatchObject({ url: `${origin}/z`, status: 200 });
    expect(one.prompts).toEqual(["none", ""]);
  });
});

describe("what changes while somebody signs in", () => {
  it("a frontend that is renamed is there no more, and its new name is asked for anew", async () => {
    const host = "old.example.com";
    const id = await addFrontend(host, [oneId]);
    const visitor = newVisitor(host, "new.example.com");
    const answer = (await visitor.open(`https://${host}/x`, callbackOf(""))).url;
    await addFrontend("new.example.com", [oneId], id);
    expect(said(await visitor.open(answer))).toEqual([404, "Nothing is set up there any more"]);
    expect(await visitor.open("https://new.example.com/x")).toMatchObject({ status: 200 });
    await frontdoor.call("DELETE", `/frontdoor/${frontdoor.id}/custom-frontends/${id}`);
  });

  it("a host that another frontend has by now lets nobody in by what began before", async () => {
    const host = "moved.example.com";
    const id = await addFrontend(host, [oneId]);
    const visitor = newVisitor(host);
    const finish = (await visitor.open(`https://${host}/x`, `https://${host}/.vestibule/finish`)).url;
    await frontdoor.call("DELETE", `/frontdoor/${frontdoor.id}/custom-frontends/${id}`);
    const next = await addFrontend(host, [twoId]);
    expect(said(await visitor.open(finish))).toEqual([400, "This sign-in is over"]);
    await frontdoor.call("DELETE", `/frontdoor/${frontdoor.id}/custom-frontends/${next}`);
  });

  it("a provider that is taken away lets nobody in, at its answer or with its code", async () => {
    const visitor = newVisitor();
    const answer = await findAnswer(visitor, oneId);
    await addFrontend(hostname, [twoId], frontend);
    expect(said(await visitor.open(answer))).toEqual([400, "That way to sign in was taken away"]);
    await addFrontend(hostname, [oneId, twoId], frontend);
    const again = await visitor.open(await findAnswer(visitor, oneId), `${origin}/.vestibule/finish`);
    await addFrontend(hostname, [twoId], frontend);
    const late = await visitor.open(again.url);
    expect(visitor.jar(hostname).has("__Host-vestibule")).toBe(false);
    expect(late.status).toBe(400);
    await addFrontend(hostname, [oneId, twoId], frontend);
  });

  it("a process that is killed between start and finish takes nothing along (25)", async () => {
    const visitor = newVisitor();
    const answer = await findAnswer(visitor, oneId);
    const { port, state } = server;
    await server.kill();
    server = await start(port, state);
    const after = new GateVisitor(server, ...visitor.apps);
    for (const host of [hostname, `localhost:${port}`]) {
      for (const [name, value] of visitor.jar(host)) after.jar(host).set(name, value);
    }
    expect(await after.open(answer)).toMatchObject({ url: `${origin}/x`, status: 200 });
    // And a reload of what is over leads back by one hop.
    const over = await after.open(answer);
    expect(said(over)).toEqual([400, "This sign-in is over"]);
  });
});
