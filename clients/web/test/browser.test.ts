/** The example app in a real browser, against the real server: from another origin, and from its own. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { addVirtualAuthenticator, launchBrowser } from "../../../test/parts/browser.ts";
import { type IdentityProvider, startIdentityProvider } from "../../../test/parts/identity-provider.ts";
import { findCode, findLink, listMails, Person, waitForMail } from "../../../test/parts/person.ts";
import {
  createState,
  runVestibule,
  type ServerOptions,
  startServer,
  type TestServer,
} from "../../../test/parts/server.ts";
import { type ExampleApp, serveExample } from "./parts/example-app.ts";

let browser: Browser;
let count = 0;
const newEmail = (): string => `ada-${count++}@example.org`;

beforeAll(async () => {
  browser = await launchBrowser();
});
afterAll(() => browser?.close());

describe.each([
  ["another origin than the server's", false],
  ["the server's own origin", true],
])("the example on %s", (_, isProxy) => {
  let app: ExampleApp;
  let provider: IdentityProvider;
  let server: TestServer;
  let context: BrowserContext;
  /** What no code has caught. */
  let uncaught: string[] = [];

  /** Accounts at the provider, by the address that the page suggests. */
  const accounts: Record<string, object> = {};
  const newAccount = (): string => {
    const email = newEmail();
    accounts[email] = { email, email_verified: true };
    return email;
  };

  function start(
    session: object = {},
    more: Pick<ServerOptions, "state" | "port"> = {},
  ): Promise<TestServer> {
    return startServer({
      ...more,
      env: isProxy ? { VESTIBULE_PUBLIC_URL: app.origin } : {},
      config: {
        ...(!isProxy && { cors: { allowed_origins: [app.origin] } }),
        limits: { mails_per_address_per_hour: 1000 },
        authentication: {
          session,
          callback_urls: [app.page],
          authorized_redirect_urls: [app.page],
          passkey: { rpid: "localhost", rporigins: [app.origin] },
          oidc_config: {
            acme: {
              issuer_url: provider.issuer,
              client_id: provider.clientId,
              client_secret: provider.clientSecret,
            },
          },
        },
      },
    });
  }

  beforeAll(async () => {
    app = await serveExample(isProxy);
    provider = await startIdentityProvider({ accounts: accounts as never, redirectUris: [app.page] });
    server = await start();
    app.useServer(server.port);
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    await provider?.stop();
    await app?.[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    context = await browser.newContext();
    context.setDefaultTimeout(10_000);
    uncaught = [];
    context.on("weberror", (error) => uncaught.push(String(error.error())));
  });
  afterEach(async () => {
    await context.close();
    expect(uncaught).toEqual([]);
  });

  async function openPage(): Promise<Page> {
    const page = await context.newPage();
    await page.goto(app.page);
    return page;
  }

  const button = (page: Page, name: string) => page.getByRole("button", { name, exact: true });
  const seeSignedOut = (page: Page) => page.locator("#sign-in").waitFor();

  async function seeSignedIn(page: Page, email: string): Promise<void> {
    await page.locator("#who", { hasText: email }).waitFor();
  }

  async function seeStatus(page: Page, text: string): Promise<void> {
    await page.getByRole("status").getByText(text).waitFor();
  }

  async function beginByMail(page: Page, email: string, name = "Mail me a code"): Promise<string> {
    const before = listMails(server);
    await page.getByLabel("E-mail").fill(email);
    await button(page, name).click();
    await page.getByLabel("Code").waitFor();
    return await waitForMail(server, email, before);
  }

  async function signIn(page: Page, email: string): Promise<void> {
    const mail = await beginByMail(page, email);
    await page.getByLabel("Code").fill(findCode(mail).toLowerCase());
    await button(page, "Sign in").click();
    await seeSignedIn(page, email);
  }

  it("signs in by a mailed code, after a wrong one, calls an API, and signs out in every tab", async () => {
    const [page, other] = [await openPage(), await openPage()];
    const email = newEmail();
    await seeSignedOut(other);
    const mail = await beginByMail(page, email);
    await page.getByLabel("Code").fill("222222");
    await button(page, "Sign in").click();
    await page.getByRole("alert").getByText("not the code").waitFor();
    await page.getByLabel("Code").fill(findCode(mail));
    await button(page, "Sign in").click();
    await seeSignedIn(page, email);
    await seeSignedIn(other, email);

    await button(other, "Call an API").click();
    await expect.poll(() => other.locator("#answer").textContent()).toBe(email);

    await button(page, "Sign out").click();
    await seeStatus(page, "Signed out.");
    await seeStatus(other, "Signed out.");
    expect(await context.cookies()).not.toContainEqual(expect.objectContaining({ name: "sid" }));
    await page.reload();
    await seeSignedOut(page);
  });

  it("has two tabs of a new browser begin one after the other, so that both can end", async () => {
    const browsers: string[] = [];
    await context.route(/AuthService.Authenticate$/, async (route) => {
      if (route.request().method() === "POST") {
        browsers.push((await route.request().allHeaders()).cookie ?? "");
        // Long enough for whoever does not wait for the answer.
        await sleep(300);
      }
      await route.continue();
    });
    const tabs = await Promise.all([openPage(), openPage()]);
    const emails = tabs.map(newEmail);
    const mails = await Promise.all(tabs.map((page, index) => beginByMail(page, emails[index] ?? "")));
    expect(browsers.length).toBeGreaterThanOrEqual(3);
    expect(browsers.filter((cookie) => !cookie.includes("vestibule_browser="))).toHaveLength(1);
    for (const page of tabs) {
      await page.getByLabel("Code").fill("222222");
      await button(page, "Sign in").click();
      await page.getByRole("alert").getByText("not the code").waitFor();
    }
    await tabs[0]?.getByLabel("Code").fill(findCode(mails[0] ?? ""));
    await tabs[0]?.getByRole("button", { name: "Sign in", exact: true }).click();
    for (const page of tabs) await seeSignedIn(page, emails[0] ?? "");
  });

  it("is signed in when it is loaded again, by a cookie that no script sees", async () => {
    const page = await openPage();
    const email = newEmail();
    await signIn(page, email);
    expect(await page.evaluate(() => document.cookie)).toBe("");
    await page.reload();
    await seeSignedIn(page, email);
  });

  it("signs in by a mailed link in the same browser, and tells the page that waits", async () => {
    const page = await openPage();
    const email = newEmail();
    const mail = await beginByMail(page, email, "Mail me a link");
    const landing = await context.newPage();
    await landing.goto(findLink(mail).href);
    await landing.getByRole("button").first().click();
    await landing.waitForURL((url) => url.pathname !== "/auth/callback");
    await page.reload();
    await seeSignedIn(page, email);
  });

  it("takes the code of a link's mail as well", async () => {
    const page = await openPage();
    const email = newEmail();
    const mail = await beginByMail(page, email, "Mail me a link");
    await page.getByLabel("Code").fill(findCode(mail));
    await button(page, "Sign in").click();
    await seeSignedIn(page, email);
  });

  it("adds a passkey, signs in with it without a name, and removes it", async () => {
    const page = await openPage();
    const authenticator = await addVirtualAuthenticator(page);
    const email = newEmail();
    await signIn(page, email);
    await page.getByLabel("Name").fill("My laptop");
    await button(page, "Add a passkey").click();
    await seeStatus(page, "Added My laptop.");
    expect(await authenticator.countCredentials()).toBe(1);

    await button(page, "Sign out").click();
    await seeSignedIn(page, email);
    await button(page, "Remove My laptop").click();
    await expect.poll(() => page.getByRole("listitem").count()).toBe(0);
  });

  it("signs in with a passkey at the press of a button, where there is no autofill", async () => {
    const page = await openPage();
    await page.addInitScript(() => {
      Object.defineProperty(PublicKeyCredential, "isConditionalMediationAvailable", { value: undefined });
    });
    await page.reload();
    const authenticator = await addVirtualAuthenticator(page);
    await button(page, "Sign in with a passkey").click();
    await page.getByRole("alert").getByText("No passkey was used.").waitFor();
    const email = newEmail();
    await signIn(page, email);
    await page.getByLabel("Name").fill("Key");
    await button(page, "Add a passkey").click();
    await seeStatus(page, "Added Key.");
    await button(page, "Add a passkey").click();
    await page.getByRole("alert").getByText("has a passkey of this account already").waitFor();
    await button(page, "Sign out").click();
    await seeStatus(page, "Signed out.");
    await button(page, "Sign in with a passkey").click();
    await seeSignedIn(page, email);
    expect(await authenticator.countCredentials()).toBe(1);
  });

  it("signs in with a provider and goes where it was asked to", async () => {
    const page = await openPage();
    const email = newAccount();
    await page.getByLabel("E-mail").fill(email);
    await button(page, "Sign in with acme").click();
    await seeSignedIn(page, email);
    // Nothing of the callback is left to be sent on, or to be used twice by a reload.
    expect(page.url()).toBe(app.page);
    await page.reload();
    await seeSignedIn(page, email);
  });

  it("joins a provider's account by a code to the mailbox", async () => {
    const page = await openPage();
    const email = newAccount();
    await signIn(page, email);
    await button(page, "Sign out").click();
    await seeStatus(page, "Signed out.");
    const before = listMails(server);
    await page.getByLabel("E-mail").fill(email);
    await button(page, "Sign in with acme").click();
    await seeStatus(page, `A mail is on its way to ${email}.`);
    await page.getByLabel("Code").fill(findCode(await waitForMail(server, email, before)));
    await button(page, "Sign in").click();
    await seeSignedIn(page, email);
    // From now on without.
    await button(page, "Sign out").click();
    await seeStatus(page, "Signed out.");
    await page.getByLabel("E-mail").fill(email);
    await button(page, "Sign in with acme").click();
    await seeSignedIn(page, email);
  });

  it("ends nobody's sign-in but its own browser's", async () => {
    const page = await openPage();
    const state = "A".repeat(43);
    for (const query of [`state=${state}&code=x`, `state=${state}&code=x&iss=${provider.issuer}`]) {
      await page.goto(`${app.page}?${query}`);
      await page.getByRole("alert").getByText("took too long").waitFor();
      expect(page.url()).toBe(app.page);
    }
    await page.goto(`${app.page}?state=${state}&error=access_denied`);
    await page.getByRole("alert").getByText("You did not sign in.").waitFor();
    await page.goto(`${app.page}?state=${state}&state=${state}&code=x`);
    await page.getByRole("alert").getByText("twice").waitFor();
    await page.goto(`${app.page}?state=${state}`);
    await seeSignedOut(page);
    expect(await page.getByRole("alert").count()).toBe(0);
  });

  it("notices with the next ping that its session was ended elsewhere", async () => {
    const page = await openPage();
    await page.clock.install();
    await page.reload();
    const email = newEmail();
    await signIn(page, email);
    const elsewhere = new Person(server);
    const origin = { origin: app.origin };
    const before = listMails(server);
    const begun = await elsewhere.call("Authenticate", { strategyName: "mailotp", email }, origin);
    const code = findCode(await waitForMail(server, email, before));
    await elsewhere.call("AuthCallback", { state: begun.json.state, code }, origin);
    expect((await elsewhere.call("RevokeAllSessions", { keepCurrent: true }, origin)).json.revoked).toBe(1);
    await page.clock.fastForward("09:00");
    await seeSignedIn(page, email);
    await page.clock.fastForward("01:30");
    await seeStatus(page, "Your session was ended.");
  });

  it("says when the server cannot be reached, pretends nothing, and goes on when it is back", async () => {
    const own = await start();
    const { state, port } = own;
    const saved = server;
    app.useServer(port);
    server = own;
    try {
      const [page, email] = [await openPage(), newEmail()];
      await signIn(page, email);
      await own.kill();
      for (const name of ["Call an API", "Sign out"]) {
        await button(page, name).click();
        await expect.poll(() => page.getByRole("alert").textContent()).not.toBe("");
        await seeSignedIn(page, email);
      }
      server = await start({}, { state, port });
      // Within a second of a failure no token is asked for: somebody in a hurry presses again.
      const pressAgain = async () => {
        await button(page, "Call an API").click();
        return await page.locator("#answer").textContent();
      };
      await expect.poll(pressAgain).toBe(email);
      await button(page, "Sign out").click();
      await seeStatus(page, "Signed out.");
    } finally {
      await server.kill();
      await state.remove();
      server = saved;
      app.useServer(saved.port);
    }
  });

  it("signs out everywhere", async () => {
    const email = newEmail();
    const page = await openPage();
    await signIn(page, email);
    const elsewhere = await browser.newContext();
    const far = await elsewhere.newPage();
    await far.goto(app.page);
    await signIn(far, email);
    await button(page, "Sign out everywhere").click();
    await seeStatus(page, "Signed out.");
    await button(far, "Call an API").click();
    await seeStatus(far, "Your session was ended.");
    await elsewhere.close();
  });

  it("sees its session expire", async () => {
    await using short = await start({ validity: "4s" });
    app.useServer(short.port);
    const saved = server;
    server = short;
    try {
      const page = await openPage();
      await signIn(page, newEmail());
      await seeStatus(page, "Your session has expired.");
    } finally {
      server = saved;
      app.useServer(saved.port);
    }
  });
});

it("the example's own configuration is one that a server starts with", async () => {
  const state = await createState("sqlite");
  const VESTIBULE_CONFIG = join(import.meta.dirname, "../example/vestibule.yaml");
  const env = { VESTIBULE_CONFIG, VESTIBULE_PUBLIC_URL: "http://localhost:7400" };
  expect(await runVestibule(["doctor"], state, { env })).toMatchObject({ code: 0, stderr: "" });
  await state.remove();
});
