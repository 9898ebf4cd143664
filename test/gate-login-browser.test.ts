/**
 * How somebody comes in at a gated app, and goes: in a real browser, through
 * real proxies that are set up by exactly what `vestibule gate config` prints.
 */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { launchBrowser } from "./parts/browser.ts";
import { type GatedApp, type Reached, startGatedApp } from "./parts/gate.ts";
import { joinDefault } from "./parts/gate-visitor.ts";
import { basic } from "./parts/http.ts";
import { type IdentityProvider, startIdentityProvider } from "./parts/identity-provider.ts";
import { askForMail, heading, typeCode } from "./parts/pages.ts";
import { findCode, Person } from "./parts/person.ts";
import { inspect, openVisit, type Visit } from "./parts/visit.ts";

let browser: Browser;
beforeAll(async () => {
  browser = await launchBrowser();
});
afterAll(() => browser?.close());

const told = ({ rawHeaders }: Reached, name: string) => {
  const at = rawHeaders.findIndex((each, index) => index % 2 === 0 && each.toLowerCase() === name);
  return at < 0 ? undefined : rawHeaders[at + 1];
};

describe.each([
  ["nginx", "https"],
  ["caddy", "http"],
  ["haproxy", "https"],
  ["nginx", "http"],
] as const)("an app behind %s by %s", (proxy, scheme) => {
  let app: GatedApp;
  let provider: IdentityProvider;
  let providerId: string;
  let origin: string;
  let publicUrl: string;
  let visit: Visit;
  let page: Page;

  beforeAll(async () => {
    app = await startGatedApp(proxy, scheme, {
      name: "app.localhost",
      config: {
        egress: { allow_cidrs: ["127.0.0.0/8"] },
        authentication: { passkey: { rpdisplayname: "Example" } },
      },
    });
    origin = `${scheme}://${app.host}`;
    publicUrl = `http://localhost:${app.server.port}`;
    provider = await startIdentityProvider({
      accounts: { ada: { email: "ada@example.org", email_verified: true, name: "Ada" } },
      redirectUris: [],
      redirectsBelow: `${publicUrl}/gate/callback/`,
      asksWhom: true,
    });
    const { issuer, clientId, clientSecret } = provider;
    const { call, id, frontendId, vestibuleProviderId } = app.frontdoor;
    const data = { issuer, clientId, clientSecret };
    const body = { name: "acme", type: "OIDC", data };
    providerId = (await call("POST", `/frontdoor/${id}/auth-providers`, body)).id;
    await call("PUT", `/frontdoor/${id}/custom-frontends/${frontendId}`, {
      hostname: app.host,
      scheme,
      authProviderIds: [providerId, vestibuleProviderId],
      policy: { publicPaths: ["/health", "/public/*"] },
    });
    visit = await openVisit(browser, [origin, publicUrl, issuer], { ignoreHTTPSErrors: true });
    page = visit.page;
  }, 120_000);
  afterAll(async () => {
    await visit?.close();
    await app?.[Symbol.asyncDispose]();
    await provider?.stop();
  });

  const shoot = (name: string) => inspect(page, `gate-login-${name}`);
  const press = (name: string) => page.getByRole("button", { name }).click();
  const follow = (name: string) => page.getByRole("link", { name }).click();
  const isIn = async () => {
    await page.goto(`${origin}/dash`);
    return (await page.textContent("body")) === "the app";
  };

  it("chooses a provider, signs in there, and the app is told who comes", async () => {
    await page.goto(`${origin}/dash?x=%2F`);
    expect(await heading(page)).toBe("Sign in");
    await shoot("chooser");
    app.upstream.take();
    await follow("Continue with Acme");
    await follow("ada");
    await page.waitForURL(`${origin}/dash?x=%2F`);
    expect(await page.textContent("body")).toBe("the app");
    const reached = app.upstream.take().find(({ target }) => target === "/dash?x=%2F");
    expect(reached && told(reached, "x-vestibule-subject")).toBe(`${providerId}:ada`);
    expect(reached && told(reached, "x-vestibule-email")).toBe("ada@example.org");
    expect((reached && told(reached, "cookie")) ?? "").not.toContain("vestibule");
  });

  it("has what its pages ask for let in by the same session, and its WebSockets", async () => {
    app.upstream.take();
    expect(await page.evaluate("fetch('/api').then(({ status }) => status)")).toBe(200);
    const opened = `new Promise((resolve) => {
      const socket = new WebSocket(location.origin.replace("http", "ws") + "/socket");
      socket.onopen = () => resolve("open");
      socket.onerror = () => resolve("refused");
    })`;
    expect(await page.evaluate(opened)).toBe("open");
    const [api, socket] = app.upstream.take();
    for (const reached of [api, socket]) {
      expect(reached && told(reached, "x-vestibule-subject")).toBe(`${providerId}:ada`);
    }
    await page.context().clearCookies({ name: /vestibule/ });
    expect(await page.evaluate(opened)).toBe("refused");
    expect(await page.evaluate("fetch('/api').then(({ status }) => status)")).toBe(401);
    expect(app.upstream.take()).toEqual([]);
  });

  it("is signed out of here, and asked again at the provider", async () => {
    await page.goto(`${origin}/dash`);
    await follow("Continue with Acme");
    await page.waitForURL(`${origin}/dash`);
    await page.goto(`${origin}/.vestibule/logout`);
    expect(await heading(page)).toBe("Sign out");
    await shoot("sign-out");
    await press("Sign out");
    expect(await heading(page)).toBe("You are signed out");
    await shoot("signed-out");
    expect(await isIn()).toBe(false);
    await follow("Continue with Acme");
    // Though the provider knows who it is.
    expect(await heading(page)).toBe("Who are you?");
  });

  it("comes by an account here, is out once signed out everywhere, and in again by signing in on the way", async () => {
    await page.goto(`${origin}/dash`);
    await follow("Continue with Example");
    expect(page.url()).toContain(`${publicUrl}/login?return_to=`);
    await typeCode(page, findCode(await askForMail(app.server, page, "bob@example.org")));
    expect(await heading(page)).toBe("You cannot come in here");
    await shoot("denied");
    const person = new Person(app.server);
    await person.signIn("bob@example.org");
    const id = await joinDefault({ server: app.server, person }, basic(app.server));
    app.upstream.take();
    await page.goto(`${origin}/dash`);
    await follow("Continue with Example");
    if ((await heading(page)) === "Welcome back") await press("Continue as");
    await page.waitForURL(`${origin}/dash`);
    const reached = app.upstream.take().find(({ target }) => target === "/dash");
    expect(reached && told(reached, "x-vestibule-subject")).toBe(id);
    await person.call("RevokeAllSessions", {});
    expect(await isIn()).toBe(false);
    await follow("Continue with Example");
    await typeCode(page, findCode(await askForMail(app.server, page, "bob@example.org")));
    await page.waitForURL(`${origin}/dash`);
    expect(await page.textContent("body")).toBe("the app");
    // The one that was to be refused is.
    expect(visit.complaints.filter((each) => !each.startsWith("WebSocket connection"))).toEqual([]);
  });
});
