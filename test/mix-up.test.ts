/**
 * A hostile identity provider that sends its visitor on to an honest one (RFC
 * 9700 §4.4): played through in a real browser against two real providers, in
 * every way that an answer can come back.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { launchBrowser } from "./parts/browser.ts";
import { type IdentityProvider, startIdentityProvider } from "./parts/identity-provider.ts";
import { Person } from "./parts/person.ts";
import { findFreePort, startServer, type TestServer } from "./parts/server.ts";
import { openVisit } from "./parts/visit.ts";

const victim = { email: "victim@example.org", email_verified: true };

/** An app's page, which begins sign-ins and ends them, as its script is told by the query. */
const toAppPage = (
  server: string,
) => `<!doctype html><title>App</title><link rel="icon" href="data:,"><h1></h1>
<script type="module">
const query = new URLSearchParams(location.search);
const call = async (method, message) => {
  const answer = await fetch("${server}/vestibule.v1.AuthService/" + method, {
    method: "POST",
    credentials: "include",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(message),
  });
  return { status: answer.status, ...(await answer.json()) };
};
const callbackUrl = location.origin + "/callback";
if (location.pathname === "/callback") {
  const [state, code, iss] = ["state", "code", "iss"].map((name) => query.get(name) ?? undefined);
  const { status, message } = await call("AuthCallback", { state, code, stateOptions: { iss } });
  document.querySelector("h1").textContent = status === 200 ? "signed in" : message;
} else {
  const { endpoint } = await call("Authenticate", { strategyName: query.get("with"), callbackUrl });
  location.href = endpoint;
}
</script>`;

let browser: Browser;
beforeAll(async () => {
  browser = await launchBrowser();
});
afterAll(() => browser?.close());

/** Which of the two is answered at the plain URL, and whether the honest one's answers name it. */
const variants = [undefined, "honest", "hostile"].flatMap((shared) =>
  [true, false].map((namesItself) => [shared, namesItself] as const),
);

describe.each(variants)("a mix-up of providers (shared: %s, answers with iss: %s)", (shared, namesItself) => {
  let server: TestServer;
  let honest: IdentityProvider;
  let hostile: IdentityProvider;
  let app: Server;
  let appUrl: string;
  let url: string;
  let pageUrl: string;

  beforeAll(async () => {
    const port = await findFreePort();
    url = `http://localhost:${port}`;
    app = createServer((_, response) => {
      response.setHeader("content-type", "text/html");
      response.end(toAppPage(url));
    });
    await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve));
    appUrl = `http://localhost:${(app.address() as AddressInfo).port}`;
    pageUrl = `${appUrl}/callback`;
    // More than is needed, as where what was registered once was never taken back.
    const toUris = (name: string) => [`${url}/auth/callback`, `${url}/auth/callback/${name}`, pageUrl];
    const accounts = { nobody: victim };
    honest = await startIdentityProvider({ accounts, redirectUris: toUris("honest"), namesItself });
    hostile = await startIdentityProvider({ accounts, redirectUris: toUris("hostile"), namesItself: false });
    const toProvider = (name: string, { issuer, clientId, clientSecret }: IdentityProvider) => ({
      issuer_url: issuer,
      client_id: clientId,
      client_secret: clientSecret,
      ...(shared === name && { callback: "shared" }),
    });
    const oidc_config = { honest: toProvider("honest", honest), hostile: toProvider("hostile", hostile) };
    server = await startServer({
      port,
      config: {
        cors: { allowed_origins: [appUrl] },
        authentication: { callback_urls: [`${url}/auth/callback`, pageUrl], oidc_config },
      },
    });
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    await Promise.all([honest?.stop(), hostile?.stop()]);
    app?.close();
  });

  /** Begins at our own page, or at the app's, which is where its answer goes. */
  async function beginBy(page: Page, way: "route" | "page", provider: string): Promise<void> {
    if (way === "page") await page.goto(`${appUrl}/?with=${provider}`);
    else {
      await page.goto(`${url}/login`);
      const label = `Continue with ${provider === "honest" ? "Honest" : "Hostile"}`;
      await page.getByRole("button", { name: label }).click();
    }
  }

  /** What the page says that the browser comes back to. */
  async function endAt(page: Page, way: "route" | "page"): Promise<string> {
    const last = way === "page" ? pageUrl : `${url}/a`;
    await page.waitForURL((at) => at.href.startsWith(last));
    const heading = page.locator("h1", { hasText: /\S/ });
    await heading.waitFor();
    return (await heading.textContent()) ?? "";
  }

  const hasSession = async (page: Page) =>
    (await page.context().cookies()).some(({ name }) => name === "sid");

  it.each([
    ["route", "route"],
    ["page", "page"],
    ["route", "page"],
    ["page", "route"],
  ] as const)(
    "begun for our %s, answered at our %s (AuthCallback at a page) takes nobody over",
    async (begunFor, answeredAt) => {
      hostile.codes.length = 0;
      const attacker = new Person(server);
      const asked = { strategyName: "honest", callbackUrl: answeredAt === "page" ? pageUrl : "" };
      const theirs = (await attacker.call("Authenticate", asked)).json;
      hostile.setDetour(({ searchParams }) => {
        // The attacker's challenge and nonce with the victim's state.
        const onward = new URL(theirs.endpoint);
        onward.searchParams.set("state", searchParams.get("state") ?? "");
        return onward;
      });
      const { page, complaints, close } = await openVisit(browser, [
        url,
        appUrl,
        honest.issuer,
        hostile.issuer,
      ]);
      let code: string | null = null;
      page.on("request", (request) => {
        if (request.isNavigationRequest()) code = new URL(request.url()).searchParams.get("code") ?? code;
      });
      try {
        await beginBy(page, begunFor, "hostile");
        const told = await endAt(page, answeredAt);
        expect(code, "the honest provider let the victim in").not.toBeNull();
        const finish = { state: theirs.state, code, stateOptions: namesItself ? { iss: honest.issuer } : {} };
        // Only a page that several providers share hands the code on, and not where its answer names who gave it.
        const isSent = begunFor === "page" && answeredAt === "page" && !namesItself;
        expect(await hasSession(page)).toBe(false);
        if (hostile.codes.length > 0) {
          const ended = await attacker.call("AuthCallback", finish);
          expect(ended.json).toMatchObject({ code: "invalid_argument", message: "invalid flow or expired" });
          const route = new URL(new URL(theirs.endpoint).searchParams.get("redirect_uri") ?? "");
          await attacker.send(`${route.pathname}?state=${theirs.state}&code=${code}`);
        }
        expect(attacker.cookies.has("sid"), "the attacker is signed in").toBe(false);
        expect((await attacker.call("GetCurrentUser")).status).toBe(401);
        expect(hostile.codes).toEqual(isSent ? [code] : []);
        expect(told).toMatch(
          /^(This sign-in (began elsewhere|is over)|invalid (auth state|flow or expired)|nothing is proven by .+)$/,
        );

        // Whoever goes to the honest one by themselves is let in, where their sign-in began.
        await beginBy(page, begunFor, "honest");
        expect(await endAt(page, begunFor)).toBe(begunFor === "page" ? "signed in" : "Your account");
        expect(await hasSession(page)).toBe(true);
        expect(complaints).toEqual([]);
      } finally {
        await close();
      }
    },
  );
});
