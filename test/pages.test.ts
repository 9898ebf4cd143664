/** The pages as people meet them: a real browser, the built server, its outbox, a real identity provider. */
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { addVirtualAuthenticator, launchBrowser, type VirtualAuthenticator } from "./parts/browser.ts";
import { send, tlsCertificate, tlsEnvironment } from "./parts/http.ts";
import { type IdentityProvider, startIdentityProvider } from "./parts/identity-provider.ts";
import * as parts from "./parts/pages.ts";
import { heading, press, submit, typeCode } from "./parts/pages.ts";
import { findCode, findLink, listMails, waitForMail } from "./parts/person.ts";
import { findFreePort, startServer, type TestServer } from "./parts/server.ts";
import { inspect, openVisit, tabTo, type Visit } from "./parts/visit.ts";

// What the provider says of whoever comes without a hint.
const atProvider = { email: "nobody@example.org", email_verified: true, name: "No Body" };

// Many pages in one test, each of them looked at in light, dark and on a phone.
vi.setConfig({ testTimeout: 240_000 });

let server: TestServer;
let provider: IdentityProvider;
let app: Server;
let browser: Browser;
let url: string;
let appUrl: string;
let visits: Visit[] = [];

beforeAll(async () => {
  const port = await findFreePort();
  url = `http://localhost:${port}`;
  app = createServer((_, response) => {
    response.setHeader("content-type", "text/html");
    response.end('<!doctype html><title>App</title><link rel="icon" href="data:,"><h1>The app</h1>');
  });
  await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve));
  appUrl = `http://127.0.0.1:${(app.address() as AddressInfo).port}/home?from=vestibule`;
  provider = await startIdentityProvider({
    accounts: { nobody: atProvider },
    redirectUris: [`${url}/auth/callback/acme`],
  });
  const { issuer, clientId, clientSecret } = provider;
  const [started, launched] = await Promise.all([
    startServer({
      port,
      config: {
        // All of this file's people come from one address.
        authentication: {
          authorized_redirect_urls: [appUrl],
          passkey: { rpdisplayname: "Example" },
          oidc_config: {
            acme: { issuer_url: issuer, client_id: clientId, client_secret: clientSecret },
            elsewhere: { issuer_url: "http://127.0.0.1:9", client_id: "c", client_secret: "s" },
          },
        },
      },
    }),
    launchBrowser(),
  ]);
  server = started;
  browser = launched;
});

afterAll(async () => {
  await browser?.close();
  await server?.[Symbol.asyncDispose]();
  await provider?.stop();
  app?.close();
});

afterEach(async () => {
  const complaints = visits.flatMap((visit) => visit.complaints);
  for (const visit of visits) await visit.close();
  visits = [];
  expect(complaints).toEqual([]);
});

async function visit(path: string, options?: BrowserContextOptions): Promise<Page> {
  const origins = [url, `http://127.0.0.1:${server.port}`, provider.issuer, new URL(appUrl).origin];
  const opened = await openVisit(browser, origins, options);
  visits.push(opened);
  await opened.page.goto(`${url}${path}`);
  return opened.page;
}

let count = 0;
const newEmail = () => `ada-${count++}@example.org`;

const askForMail = (page: Page, email: string, button: "code" | "link" = "code") =>
  parts.askForMail(server, page, email, button === "code" ? "E-mail me a code" : "E-mail me a link instead");
const signIn = (page: Page, email: string) => parts.signIn(server, page, email);

async function readSessionCookie(page: Page): Promise<string | undefined> {
  return (await page.context().cookies()).find(({ name }) => name === "sid")?.value;
}

/** Keeps the browser from offering passkeys by itself, which a virtual authenticator would take at once. */
async function withoutOffers(page: Page): Promise<void> {
  await page.addInitScript("PublicKeyCredential.isConditionalMediationAvailable = async () => false");
}

async function addPasskey(page: Page): Promise<VirtualAuthenticator> {
  const authenticator = await addVirtualAuthenticator(page);
  await press(page, "Add a passkey");
  await page.waitForURL("**/account?done=added");
  return authenticator;
}

describe("a newcomer", () => {
  it("signs in by a mailed code, adds a passkey, comes back by it without a name, and ends another session", async () => {
    const email = newEmail();
    const phone = await visit("/login", {
      userAgent: "Mozilla/5.0 (iPhone) Version/18.0 Mobile Safari/604.1",
    });
    await signIn(phone, email);
    const page = await visit("/");
    await withoutOffers(page);
    await page.reload();
    expect(await heading(page)).toBe("Sign in");
    expect(await page.getByLabel("E-mail address").and(page.locator(":focus")).count()).toBe(1);
    await inspect(page, "login");
    const mail = await askForMail(page, email);
    expect(await page.getByText(email).first().isVisible()).toBe(true);
    await inspect(page, "check-mail");
    await typeCode(page, findCode(mail).toLowerCase());
    await page.waitForURL("**/account");
    const authenticator = await addPasskey(page);
    expect(await authenticator.countCredentials()).toBe(1);
    await inspect(page, "account");

    await press(page, "Sign out");
    await page.waitForURL("**/login?done=signed-out");
    expect(await page.getByRole("status").innerText()).toBe("You are signed out.");
    await press(page, "Sign in with a passkey");
    await page.waitForURL("**/account");

    const sessions = page.getByRole("region", { name: "Where you are signed in" }).getByRole("listitem");
    expect(await sessions.count()).toBe(2);
    expect(await sessions.nth(0).innerText()).toMatch(/^Chrome on Linux\s+This browser/);
    expect(await sessions.nth(1).innerText()).toMatch(/^Safari on iOS/);
    await sessions.nth(1).getByRole("button").click();
    await page.waitForURL("**/account?done=ended");
    expect(await sessions.count()).toBe(1);
    await phone.reload();
    expect(await heading(phone)).toBe("Sign in");
  });

  it("is let in by the passkey that the address field offers", async () => {
    const page = await visit("/login");
    await signIn(page, newEmail());
    await addPasskey(page);
    await press(page, "Sign out");
    await page.waitForURL("**/account");
    expect(await heading(page)).toBe("Your account");
  });

  it("uses passkeys in a browser without the newer helpers", async () => {
    const page = await visit("/login");
    await withoutOffers(page);
    await page.addInitScript(`
      delete PublicKeyCredential.parseCreationOptionsFromJSON;
      delete PublicKeyCredential.parseRequestOptionsFromJSON;
      delete PublicKeyCredential.prototype.toJSON;`);
    await page.reload();
    await signIn(page, newEmail());
    await addPasskey(page);
    await press(page, "Sign out");
    await page.waitForURL("**/login?*");
    await press(page, "Sign in with a passkey");
    await page.waitForURL("**/account");
  });

  it("is told on the account page where the browser has no passkeys", async () => {
    const page = await visit("/login");
    await page.addInitScript("delete window.PublicKeyCredential");
    await signIn(page, newEmail());
    expect(await page.getByText("Passkeys do not work here").isVisible()).toBe(true);
    expect(await page.getByRole("button", { name: "Add a passkey" }).isVisible()).toBe(false);
    await inspect(page, "account-without-passkeys");
    await page.addInitScript("window.PublicKeyCredential ??= class {}");
    await page.reload();
    expect(await page.getByText("Passkeys do not work here").isVisible()).toBe(false);
  });

  it("is told when the passkey was not used, and can go on", async () => {
    const page = await visit("/login");
    await withoutOffers(page);
    await page.reload();
    const authenticator = await addVirtualAuthenticator(page);
    await authenticator.setUserVerified(false);
    await press(page, "Sign in with a passkey");
    await page.getByRole("alert").waitFor();
    expect(await page.getByRole("alert").innerText()).toContain("Nothing was done");
    await inspect(page, "login-passkey-problem");
    await signIn(page, newEmail());
  });

  it("opens the server by another name of the machine and is led to the public one", async () => {
    const page = await visit("/login");
    await page.goto(`http://127.0.0.1:${server.port}/login`);
    expect(page.url()).toBe(`${url}/login`);
  });
});

describe("passkeys on the account page", () => {
  it("are renamed and removed, whatever they are called", async () => {
    const page = await visit("/login");
    await signIn(page, newEmail());
    await addPasskey(page);
    const name = `"><img src=x onerror=alert(1)>'&amp;`;
    await page.getByLabel("Rename Passkey", { exact: true }).click();
    await page.getByLabel("New name").fill(name);
    await inspect(page, "account-rename");
    await press(page, "Save");
    await page.waitForURL("**/account?done=renamed");
    expect(await page.getByText(name, { exact: true }).count()).toBe(1);
    await page.getByLabel(`Remove ${name}`, { exact: true }).click();
    await inspect(page, "account-remove");
    await press(page, `Remove it: ${name}`);
    await page.waitForURL("**/account?done=removed");
    expect(await page.getByText(name, { exact: true }).count()).toBe(0);
  });
});

describe("adding a passkey late", () => {
  it("asks for another sign-in first, and leads there and back", async () => {
    const email = newEmail();
    const page = await visit("/login");
    await withoutOffers(page);
    await signIn(page, email);
    const refusal = { code: "failed_precondition", message: "sign in again first" };
    await page.route("**/Authenticate", (route) => route.fulfill({ status: 400, json: refusal }));
    await press(page, "Add a passkey");
    await page.getByRole("link", { name: "Sign in again" }).and(page.locator(":focus")).waitFor();
    await inspect(page, "account-again");
    await page.unroute("**/Authenticate");
    await page.keyboard.press("Enter");
    await page.waitForURL("**/login?again=1");
    expect(await page.getByLabel("E-mail address").inputValue()).toBe(email);
    await inspect(page, "login-again");
    const mail = await askForMail(page, email);
    await typeCode(page, findCode(mail));
    await page.waitForURL("**/account");
    await addPasskey(page);
  });
});

describe("signing in again", () => {
  it("takes a passkey as well, whose session replaces the one there is", async () => {
    const page = await visit("/login");
    await withoutOffers(page);
    await signIn(page, newEmail());
    await addPasskey(page);
    const sid = await readSessionCookie(page);
    await page.goto(`${url}/login?again=1`);
    await press(page, "Sign in with a passkey");
    await page.waitForURL("**/account");
    expect(await readSessionCookie(page)).not.toBe(sid);
    expect(await page.getByText("This browser", { exact: true }).count()).toBe(1);
    expect(await page.getByRole("button", { name: "Sign out everywhere else" }).count()).toBe(0);
  });
});

describe("a mailed link", () => {
  it("survives scanners and signs in by its button, in its own browser alone", async () => {
    const email = newEmail();
    const page = await visit("/login");
    const link = findLink(await askForMail(page, email, "link")).href;
    await inspect(page, "check-mail-link");
    for (const method of ["HEAD", "GET", "HEAD", "GET", "HEAD", "GET"]) {
      const scanned = await send(link, { method });
      expect([scanned.status, scanned.headers["set-cookie"]]).toEqual([200, undefined]);
    }
    const elsewhere = await visit(link.slice(url.length));
    expect(await heading(elsewhere)).toBe("Go back to where you began");
    expect(await elsewhere.getByRole("button").count()).toBe(0);
    expect(await elsewhere.context().cookies()).toEqual([]);
    await inspect(elsewhere, "other-browser");

    await page.goto(link);
    await inspect(page, "confirm");
    await press(page, "Sign in");
    await page.waitForURL("**/account");
    expect(await page.getByText(email).first().isVisible()).toBe(true);
  });

  it("works by its code, in the browser that asked", async () => {
    const page = await visit("/login");
    await typeCode(page, findCode(await askForMail(page, newEmail(), "link")));
    await page.waitForURL("**/account");
  });
});

describe("what goes wrong", () => {
  it("is said where it happened: a wrong code, then one too many", async () => {
    const page = await visit("/login");
    const code = findCode(await askForMail(page, newEmail()));
    const asked = page.url();
    const wrong = code.startsWith("Z") ? "Y22222" : "Z22222";
    await typeCode(page, wrong);
    expect(await page.getByRole("alert").innerText()).toContain("That code is not right");
    await inspect(page, "check-mail-wrong");
    await typeCode(page, wrong);
    await typeCode(page, wrong);
    expect(await heading(page)).toBe("That code is not right");
    await inspect(page, "over");
    await page.goto(asked);
    expect(await heading(page)).toBe("This sign-in is over");
    await page.getByRole("link", { name: "Start again" }).click();
    await signIn(page, newEmail());
  });

  it("is nothing to who is signed in by now, in another tab", async () => {
    const page = await visit("/login");
    const code = findCode(await askForMail(page, newEmail()));
    const asked = page.url();
    const tabs = [await page.context().newPage(), await page.context().newPage()];
    for (const tab of tabs) await tab.goto(asked);
    await typeCode(page, code);
    const [typing = page, resending = page] = tabs;
    await typeCode(typing, code);
    expect(typing.url()).toBe(`${url}/account`);
    await submit(resending, "Send it again");
    expect(resending.url()).toBe(`${url}/account`);
    await typing.goto(asked);
    expect(typing.url()).toBe(`${url}/account`);
  });

  it("can be mended: a mail that is asked for again", async () => {
    const email = newEmail();
    const page = await visit("/login");
    await askForMail(page, email);
    const before = listMails(server);
    await press(page, "Send it again");
    await page.waitForURL("**again=1");
    expect(await page.getByRole("status").innerText()).toContain("once more");
    await typeCode(page, findCode(await waitForMail(server, email, before)));
    await page.waitForURL("**/account");
  });

  it("is said of a provider that is down, with the other ways beside it", async () => {
    const page = await visit("/login");
    await submit(page, "Continue with Elsewhere");
    expect(await page.getByRole("alert").innerText()).toContain("Elsewhere cannot be reached");
    await inspect(page, "provider-down");
    await signIn(page, newEmail());
  });

  it("is said of an address that is none, and of a form without its cookie", async () => {
    const page = await visit("/login");
    await page.getByLabel("E-mail address").fill("ada@-example-.org");
    await page.evaluate("document.querySelector('form').noValidate = true");
    await submit(page, "E-mail me a code");
    expect(await page.getByRole("alert").innerText()).toContain("not an e-mail address");
    expect(await page.getByLabel("E-mail address").getAttribute("aria-invalid")).toBe("true");
    await inspect(page, "bad-address");
    await page.context().clearCookies();
    await page.getByLabel("E-mail address").fill(newEmail());
    await submit(page, "E-mail me a code");
    expect(await page.getByRole("alert").innerText()).toContain("no cookie");
    await signIn(page, newEmail());
  });

  it("ends at once for a session that was ended elsewhere", async () => {
    const email = newEmail();
    const [one, two] = [await visit("/login"), await visit("/login")];
    await signIn(one, email);
    await signIn(two, email);
    await press(one, "Sign out everywhere");
    await one.waitForURL("**/login?done=everywhere");
    await submit(two, "Sign out everywhere else");
    expect(await heading(two)).toBe("Sign in");
  });
});

describe("whoever comes to", () => {
  it("no page of ours is shown the way to one", async () => {
    const page = await visit("/nothing-here");
    expect(await heading(page)).toBe("There is no such page");
    await inspect(page, "lost");
    await page.getByRole("link", { name: "Go to sign-in" }).click();
    expect(await heading(page)).toBe("Sign in");
  });

  it("what has no icon of its own finds ours", async () => {
    const { status, headers, text } = await send(`${url}/favicon.ico`);
    expect([status, headers["content-type"]]).toEqual([200, "image/svg+xml"]);
    expect(text).toMatch(/^<svg /);
  });

  it.each(["/login/mail", "/login/with", "/login/resend"])(
    "%s, where a form was sent, signs in",
    async (path) => {
      expect((await visit(path)).url()).toBe(`${url}/login`);
    },
  );

  it("/account/sessions/end, where a form was sent, sees the account", async () => {
    const page = await visit("/login");
    await signIn(page, newEmail());
    await page.goto(`${url}/account/sessions/end`);
    expect(page.url()).toBe(`${url}/account`);
  });
});

describe("an identity provider", () => {
  it("signs in; an address that has an account asks for a code first, and is linked", async () => {
    const page = await visit("/login");
    await signIn(page, atProvider.email);
    await submit(page, "Sign out");
    await press(page, "Continue with Acme");
    await page.waitForURL("**/login/check-mail?*joins=1");
    expect(await heading(page)).toBe("One more step");
    await inspect(page, "link-required");
    const mail = await waitForMail(server, atProvider.email, listMails(server).slice(0, -1));
    await typeCode(page, findCode(mail));
    await page.waitForURL("**/account");
    const linked = page.getByRole("region", { name: "Linked identities" });
    expect(await linked.innerText()).toContain("Acme");
    await inspect(page, "account-linked");

    await submit(page, "Sign out");
    await press(page, "Continue with Acme");
    await page.waitForURL("**/account");

    await page.getByLabel(`Unlink Acme, ${atProvider.email}`, { exact: true }).click();
    await inspect(page, "account-unlink");
    await press(page, `Unlink it: Acme, ${atProvider.email}`);
    await page.waitForURL("**/account?done=unlinked");
    expect(await linked.count()).toBe(0);
    await submit(page, "Sign out");
    await press(page, "Continue with Acme");
    await page.waitForURL("**/login/check-mail?*joins=1");
  });

  it("may be declined, and the sign-in with it is over", async () => {
    const page = await visit("/login");
    let back = "";
    await page.route(`${provider.issuer}/auth?*`, (route) => {
      const state = new URL(route.request().url()).searchParams.get("state");
      back = `${url}/auth/callback/acme?state=${state}&error=access_denied`;
      return route.fulfill({ status: 303, headers: { location: back } });
    });
    await press(page, "Continue with Acme");
    await page.waitForURL("**/auth/callback/acme?*");
    expect(await heading(page)).toBe("You are not signed in");
    await inspect(page, "denied");
    await page.goto(back);
    expect(await heading(page)).toBe("This sign-in is over");
  });
});

describe("where a sign-in leads", () => {
  it("is the page that asked, when it is configured; from a live session at once", async () => {
    const asked = `/login?return_to=${encodeURIComponent(appUrl)}`;
    const page = await visit(asked);
    await typeCode(page, findCode(await askForMail(page, newEmail())));
    await page.waitForURL(appUrl);
    expect(await heading(page)).toBe("The app");
    await page.goto(`${url}${asked}`);
    expect(page.url()).toBe(appUrl);
    await page.goto(`${url}/login`);
    expect(page.url()).toBe(`${url}/account`);
  });

  it("is the page that asked, also when the sign-in began anew", async () => {
    const page = await visit(`/login?return_to=${encodeURIComponent(appUrl)}`);
    await askForMail(page, newEmail());
    await page.getByRole("link", { name: "Start again" }).click();
    await page.route(`${provider.issuer}/auth?*`, (route) => {
      const state = new URL(route.request().url()).searchParams.get("state");
      const location = `${url}/auth/callback/acme?state=${state}&error=access_denied`;
      return route.fulfill({ status: 303, headers: { location } });
    });
    await press(page, "Continue with Acme");
    await page.waitForURL("**/auth/callback/acme?*");
    await page.getByRole("link", { name: "Start again" }).click();
    await typeCode(page, findCode(await askForMail(page, newEmail())));
    await page.waitForURL(appUrl);
  });

  it("is the page that asked, after a link and after a passkey", async () => {
    const asked = `/login?return_to=${encodeURIComponent(appUrl)}`;
    const page = await visit(asked);
    await withoutOffers(page);
    await page.goto(findLink(await askForMail(page, newEmail(), "link")).href);
    await press(page, "Sign in");
    await page.waitForURL(appUrl);
    await page.goto(`${url}/account`);
    await addPasskey(page);
    await submit(page, "Sign out");
    await page.goto(`${url}${asked}`);
    await press(page, "Sign in with a passkey");
    await page.waitForURL(appUrl);
  });

  it.each(["//evil.example", "https://evil.example/", "javascript:alert(1)", "http://127.0.0.1:1/home"])(
    "is never %s",
    async (target) => {
      const page = await visit(`/login?return_to=${encodeURIComponent(target)}`);
      expect(await heading(page)).toBe("That link leads somewhere it may not");
      expect(page.url()).toContain(`${url}/login`);
    },
  );
});

describe("without", () => {
  it("JavaScript a code signs in, sessions end, and passkeys are said to need it", async () => {
    const page = await visit("/login", { javaScriptEnabled: false });
    expect(await page.locator("noscript p").isVisible()).toBe(true);
    expect(await page.getByRole("button", { name: "Sign in with a passkey" }).count()).toBe(0);
    await signIn(page, newEmail());
    await press(page, "Sign out everywhere");
    await page.waitForURL("**/login?done=everywhere");
    expect(await page.getByRole("status").innerText()).toBe("You are signed out everywhere.");
    await press(page, "Continue with Acme");
    await page.waitForURL(/check-mail|account/);
  });

  it("a mouse everything is reached, and shows where the focus is", async () => {
    const email = newEmail();
    const page = await visit("/login");
    const before = listMails(server);
    await tabTo(page, "E-mail address");
    await page.keyboard.type(email);
    await tabTo(page, "E-mail me a code");
    await page.keyboard.press("Enter");
    await page.waitForURL("**/login/check-mail?*");
    await page.locator("#code:focus").waitFor();
    await page.keyboard.type(findCode(await waitForMail(server, email, before)));
    await page.keyboard.press("Enter");
    await page.waitForURL("**/account");
    await addVirtualAuthenticator(page);
    await tabTo(page, "Add a passkey");
    await page.keyboard.press("Enter");
    await page.waitForURL("**/account?done=added");
    await tabTo(page, "Rename Passkey");
    await page.keyboard.press("Enter");
    await tabTo(page, "New name");
    await page.keyboard.press("ControlOrMeta+a");
    await page.keyboard.type("Laptop");
    await page.keyboard.press("Enter");
    await page.waitForURL("**/account?done=renamed");
    await tabTo(page, "Remove Laptop");
    await page.keyboard.press("Space");
    await tabTo(page, "Remove it: Laptop");
    await page.keyboard.press("Enter");
    await page.waitForURL("**/account?done=removed");
    await tabTo(page, "Sign out");
    await page.keyboard.press("Enter");
    await page.waitForURL("**/login?done=signed-out");
  });
});

it("a provider signs in where cookies are for this site's own navigations alone", async () => {
  const port = await findFreePort();
  const own = `http://localhost:${port}`;
  const redirectUris = [`${own}/auth/callback/acme`];
  const elsewhere = await startIdentityProvider({ accounts: { nobody: atProvider }, redirectUris });
  const { issuer, clientId, clientSecret } = elsewhere;
  await using strict = await startServer({
    port,
    config: {
      authentication: {
        session: { same_site: "strict" },
        authorized_redirect_urls: [`${own}/account?done=others`],
        oidc_config: { acme: { issuer_url: issuer, client_id: clientId, client_secret: clientSecret } },
      },
    },
  });
  try {
    for (const [asked, target] of [
      ["/login", "/account"],
      [`/login?return_to=${encodeURIComponent(`${own}/account?done=others`)}`, "/account?done=others"],
    ]) {
      const opened = await openVisit(browser, [own, strict.url, issuer]);
      visits.push(opened);
      await opened.page.goto(`${own}${asked}`);
      // A provider where something is pressed: what follows was begun by its site.
      await opened.page.route(`${issuer}/auth?*`, (route) => {
        const onward = `${route.request().url()}&pressed=1`;
        const isPressed = route.request().url().endsWith("&pressed=1");
        const body = `<!doctype html><title>Acme</title><link rel="icon" href="data:,"><a href="${onward.replaceAll("&", "&amp;")}">Allow</a>`;
        return isPressed ? route.continue() : route.fulfill({ contentType: "text/html", body });
      });
      await press(opened.page, "Continue with Acme");
      await opened.page.getByRole("link", { name: "Allow" }).click();
      await opened.page.waitForURL(`${own}${target}`);
      expect(await heading(opened.page)).toBe("Your account");
    }
    // An app of another site sends its people here: who is signed in goes straight on.
    const [{ page: tab }] = visits as [Visit];
    const target = `${own}/account?done=others`;
    const link = `<a href="${own}/login?return_to=${encodeURIComponent(target)}">Sign in</a>`;
    const body = `<!doctype html><title>App</title><link rel="icon" href="data:,">${link}`;
    await tab.route(`${issuer}/app`, (route) => route.fulfill({ contentType: "text/html", body }));
    await tab.goto(`${issuer}/app`);
    await tab.getByRole("link").click();
    await tab.waitForURL(target);
    // Another time in the same browser: the session is known, and replaced.
    const [{ page }] = visits as [Visit];
    await page.goto(`${own}/login?again=1`);
    await press(page, "Continue with Acme");
    await page.getByRole("link", { name: "Allow" }).click();
    await page.waitForURL(`${own}/account`);
    expect(await page.getByRole("region", { name: "Where you are" }).getByRole("listitem").count()).toBe(2);
  } finally {
    await elsewhere.stop();
  }
});

it("all of it works over TLS and HTTP/2, with cookies that stay there", async () => {
  await using secure = await startServer({ env: tlsEnvironment });
  const origins = [`https://localhost:${secure.port}`, secure.url];
  const opened = await openVisit(browser, origins, { ignoreHTTPSErrors: true });
  visits.push(opened);
  const { page } = opened;
  await page.goto(`${secure.url}/login`);
  expect(page.url()).toBe(`${origins[0]}/login`);
  await page.getByLabel("E-mail address").fill("ada@example.org");
  await submit(page, "E-mail me a code");
  await typeCode(page, findCode(await waitForMail(secure, "ada@example.org")));
  await page.waitForURL("**/account");
  expect(await page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol")).toBe("h2");
  const cookies = await page.context().cookies();
  expect(cookies.map(({ name, secure, httpOnly }) => [name, secure, httpOnly]).toSorted()).toEqual([
    ["__Host-vestibule-bind", true, true],
    ["__Host-vestibule_browser", true, true],
    ["__Host-vestibule_device", true, true],
    ["sid", true, true],
    ["vestibule_browser", true, true],
  ]);
});

/** A site that sets cookies, by https and byte for byte as given. */
async function startNeighbour(setCookies: readonly string[]) {
  const key = readFileSync(tlsEnvironment.VESTIBULE_TLS_KEY);
  const neighbour = createSecureServer({ key, cert: tlsCertificate }, (_, response) => {
    response.writeHead(200, { "content-type": "text/html", "set-cookie": [...setCookies] });
    response.end("<!doctype html><title>Evil</title><link rel=icon href=data:,>");
  });
  await new Promise<void>((resolve) => neighbour.listen(0, "127.0.0.1", resolve));
  return {
    port: (neighbour.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      neighbour.closeAllConnections();
      await new Promise((resolve) => neighbour.close(resolve));
    },
  };
}

it("a neighbour under the same domain signs nobody in, and nobody out", async () => {
  const port = await findFreePort();
  const host = "id.site.localhost";
  const own = `https://${host}:${port}`;
  await using secure = await startServer({ env: { ...tlsEnvironment, VESTIBULE_PUBLIC_URL: own }, port });
  const signInHere = async (page: Page, email: string) => {
    const before = listMails(secure);
    await page.goto(`${own}/login`);
    await page.getByLabel("E-mail address").fill(email);
    await submit(page, "E-mail me a code");
    await typeCode(page, findCode(await waitForMail(secure, email, before)));
    await page.waitForURL("**/account");
  };
  const open = async () => {
    const opened = await openVisit(browser, [own], { ignoreHTTPSErrors: true });
    // It goes to the neighbour's as well.
    opened.page.removeAllListeners("request");
    visits.push(opened);
    return opened.page;
  };
  const [attacker, victim] = [await open(), await open()];
  await signInHere(attacker, "eve@example.org");
  const stolen = (await attacker.context().cookies()).filter(({ name }) => /^sid$|bind$/.test(name));
  expect(stolen).toHaveLength(2);

  // What a neighbour's server can do: set both, by every path and spelling of their names that it likes.
  const names = [
    "sid",
    "\u00a0sid",
    ...["", "\u00a0", "=", "=\u00a0"].map((by) => `${by}__Host-vestibule-bind`),
  ];
  const lines = names.flatMap((name) => {
    const value = stolen.find((cookie) => name.endsWith(cookie.name))?.value;
    return ["/", "/account"].map((path) => `${name}=${value}; Domain=site.localhost; Path=${path}; Secure`);
  });
  await using evil = await startNeighbour(lines);

  async function plant(): Promise<void> {
    await victim.goto(`https://evil.site.localhost:${evil.port}/`);
    const planted = (await victim.context().cookies(`${own}/account`)).filter(
      ({ domain }) => domain !== host,
    );
    // The browser takes neither the companion's own name nor one without any; the tool does not show the space.
    expect(planted.map(({ name }) => name).toSorted()).toEqual([
      ...Array(2).fill("__Host-vestibule-bind"),
      ...Array(4).fill("sid"),
    ]);
  }

  await plant();
  await victim.goto(`${own}/account`);
  expect(victim.url()).toBe(`${own}/login`);
  // The page's script may be asking for passkeys just now, and would be given a browser's cookie after the next page's.
  await victim.goto("about:blank");
  await victim.context().clearCookies();
  await signInHere(victim, "ada@example.org");
  await plant();
  await victim.goto(`${own}/account`);
  expect(await victim.textContent("body")).toContain("ada@example.org");
  const whoami = await victim.evaluate(`fetch("/vestibule.v1.AuthService/GetCurrentUser", {
    method: "POST", headers: { "content-type": "application/json" }, body: "{}" }).then((answer) => answer.json())`);
  expect(whoami).toMatchObject({ user: { email: "ada@example.org" } });
});

describe("the pages' files", () => {
  it("are kept for ever, under names that say what is in them", async () => {
    const page = await send(`${server.url}/login`, { headers: { host: `localhost:${server.port}` } });
    const paths = [...page.text.matchAll(/(?:href|src)="(\/assets\/[^"]+)"/g)].map(([, path]) => path ?? "");
    expect(paths).toHaveLength(3);
    const types = {
      css: "text/css; charset=utf-8",
      js: "text/javascript; charset=utf-8",
      svg: "image/svg+xml",
    };
    for (const path of paths) {
      const { status, headers } = await send(`${server.url}${path}`);
      expect(status).toBe(200);
      expect(headers["content-type"]).toBe(types[path.split(".").at(-1) as keyof typeof types]);
      expect(headers["cache-control"]).toBe("public, max-age=31536000, immutable");
      expect(headers["x-content-type-options"]).toBe("nosniff");
      const etag = String(headers.etag);
      const known = await send(`${server.url}${path}`, { headers: { "if-none-match": `W/${etag}, "x"` } });
      expect([known.status, known.text]).toEqual([304, ""]);
      const other = await send(`${server.url}${path}`, { headers: { "if-none-match": '"x"' } });
      expect(other.status).toBe(200);
    }
  });

  it("are two, and small", async () => {
    const page = await send(`${server.url}/login`, { headers: { host: `localhost:${server.port}` } });
    for (const [, path] of page.text.matchAll(/(?:href|src)="(\/assets\/pages[^"]+)"/g)) {
      expect((await send(`${server.url}${path}`)).text.length).toBeLessThan(10_000);
    }
  });
});
