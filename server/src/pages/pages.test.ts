import { describe, expect, it } from "vitest";
import { createBrowsers } from "../auth/browser-sign-in.ts";
import { toFormToken } from "../html/form-token.ts";
import { findCookies } from "../http/node-http.ts";
import type { PlainRequest, PlainResponse } from "../http/plain-route.ts";
import { DomainError } from "../lib/errors.ts";
import { createPages, type PagesOptions } from "./pages.ts";

const publicUrl = "https://id.example.org";
const ownUrl = `${publicUrl}/auth/callback/google`;
const browser = Buffer.alloc(32, 1).toString("base64url");

/** The pages over a service whose `begin` fails so. */
function pagesOver(failure: unknown) {
  const logged: unknown[] = [];
  const begun: unknown[] = [];
  const fails = async () => {
    throw failure;
  };
  const begin = async (asked: unknown) => {
    begun.push(asked);
    throw failure;
  };
  const pages = createPages({
    siteName: "Example",
    publicUrl,
    strategies: [{ name: "mailotp" }, { name: "maillink" }, { name: "google", callbackUrl: ownUrl }],
    browserSignIn: { begin, peek: fails, finish: fails, clearStrays: () => [] },
    authenticator: {
      authenticateCookie: fails,
      findCookies: (header: Headers) => findCookies(header, "sid"),
    },
    redirects: {
      plainCallbackUrl: `${publicUrl}/auth/callback`,
      authorizedRedirectUrls: ["https://app.example.org/"],
    },
    browsers: createBrowsers({ secure: true, crossSite: false }),
    hasOutbox: false,
    log: { error: (entry: unknown) => logged.push(entry) },
  } as unknown as PagesOptions);

  async function ask(
    path: string,
    form?: Record<string, string>,
    cookie = "",
    headers: Record<string, string> = {},
  ): Promise<PlainResponse> {
    const method = form === undefined ? "GET" : "POST";
    const [bare = "", query] = path.split("?");
    const route = pages.routes.find((each) => each.path === bare && each.method === method);
    const body = new URLSearchParams({ token: toFormToken(browser, bare), ...form });
    const request: PlainRequest = {
      method,
      path: bare,
      query: new URLSearchParams(query),
      header: new Headers({
        cookie: `__Host-vestibule_browser=${browser}; ${cookie}`,
        origin: publicUrl,
        "content-type": "application/x-www-form-urlencoded",
        ...headers,
      }),
      body: Buffer.from(body.toString()),
      info: { requestId: "r", clientAddress: "::1", fromTrustedProxy: false, userAgent: "", outcome: {} },
    };
    if (route === undefined) throw new Error(`no ${method} ${bare}`);
    return await route.handle(request);
  }
  return { ask, logged, begun, renderLost: pages.renderLost };
}

const unavailable = new DomainError("UNAVAILABLE");

describe("while something is down", () => {
  it.each([
    ["/login/mail", "mailotp", "Mail cannot be sent at the moment."],
    ["/login/mail", "maillink", "Mail cannot be sent at the moment."],
    ["/login/with", "google", "Google cannot be reached at the moment."],
  ])("%s says so on the sign-in page, with what was typed (%s)", async (path, strategy, text) => {
    const form = { strategy, email: "ada@example.org", return_to: "https://app.example.org/" };
    const { status, body } = await pagesOver(unavailable).ask(path, form);
    expect(status).toBe(503);
    expect(body).toContain(text);
    expect(body).toContain('value="ada@example.org"');
    expect(body).toContain('name="return_to" value="https://app.example.org/"');
  });

  it("nobody is taken to be signed out who may not be", async () => {
    const { status, body } = await pagesOver(unavailable).ask("/account", undefined, "sid=x");
    expect(status).toBe(503);
    expect(body).toContain("That cannot be done at the moment");
  });
});

it("a sign-in with a provider comes back to the provider's own URL, wherever apps may be answered", async () => {
  const { ask, begun } = pagesOver(unavailable);
  await ask("/login/with", { strategy: "google" });
  await ask("/login/mail", { strategy: "mailotp", email: "ada@example.org" });
  expect(begun).toMatchObject([{ callbackUrl: ownUrl }, { callbackUrl: "" }]);
});

describe("a failure of our own", () => {
  it("is a page that says nothing of it, and a line in the log", async () => {
    const { ask, logged } = pagesOver(new Error("secret detail"));
    for (const answer of [
      await ask("/login/mail", { strategy: "mailotp", email: "ada@example.org" }),
      await ask("/login/check-mail?state=x"),
    ]) {
      expect(answer.status).toBe(500);
      expect(answer.body).toContain("Something went wrong");
      expect(answer.body).not.toContain("secret detail");
    }
    expect(logged).toHaveLength(2);
  });
});

describe("a refusal", () => {
  it("names its request, by which the log tells more; a page that does what was asked names none", async () => {
    const named = "Request <code>r</code>";
    const { ask, renderLost } = pagesOver(new DomainError("INVALID_FLOW"));
    const form = { strategy: "mailotp", email: "x" };
    for (const answer of [
      await ask("/login/check-mail?state=x"),
      await ask("/login/mail", form),
      await ask("/login/mail", { ...form, token: "stale" }),
      await ask("/login/with", { strategy: "elsewhere" }),
      renderLost({
        info: { requestId: "r", clientAddress: "", fromTrustedProxy: false, userAgent: "", outcome: {} },
      }),
    ]) {
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.body).toContain(named);
    }
    expect((await ask("/login")).body).not.toContain("Request");
  });

  it.each([
    ["REDIRECT_NOT_ALLOWED", 400, "That link leads somewhere it may not"],
    ["SIGNUP_CLOSED", 403, "This address cannot sign up here"],
    ["INVALID_EMAIL", 400, "That is not an e-mail address"],
    ["TOO_MANY_FAILURES", 429, "That was too much"],
    ["TOO_MANY_FLOWS", 429, "Too many sign-ins were begun"],
  ] as const)("%s has its status and its words", async (reason, status, title) => {
    const { ask } = pagesOver(new DomainError(reason, { retryAfterSeconds: 7 }));
    const answer = await ask("/login/mail", { strategy: "mailotp", email: "x" });
    expect(answer.status).toBe(status);
    expect(answer.headers?.["retry-after"]).toBe("7");
    expect(answer.body).toContain(title);
  });

  it.each([
    ["/login/mail", "google"],
    ["/login/mail", ""],
    ["/login/with", "mailotp"],
    ["/login/with", "elsewhere"],
  ])("meets %s with the strategy %j before anything is begun", async (path, strategy) => {
    const { status } = await pagesOver(new Error("begun")).ask(path, { strategy });
    expect(status).toBe(400);
  });
});

describe("a sign-in page that was opened under another address than the public one", () => {
  it.each([
    ["the machine's own", { host: "192.0.2.7:7400", origin: "http://192.0.2.7:7400" }, true],
    [
      "a proxy's",
      { host: "127.0.0.1:7400", origin: "http://localhost", "sec-fetch-site": "same-origin" },
      true,
    ],
    ["another site's page", { host: "id.example.org", origin: "https://evil.example.org" }, false],
    ["a page without an origin", { host: "id.example.org", origin: "null" }, false],
    ["the public one", { host: "id.example.org" }, false],
  ])("says which one is right: %s", async (_name, headers, isSaid) => {
    const form = { strategy: "mailotp", email: "ada@example.org", token: "stale" };
    const { status, body = "" } = await pagesOver(unavailable).ask("/login/mail", form, "", headers);
    expect(status).toBe(403);
    expect(String(body).includes(`Open ${publicUrl} instead.`)).toBe(isSaid);
    expect(String(body).includes("This page was open too long.")).toBe(!isSaid);
  });
});

it("passkeys are not spoken of where they are not offered", async () => {
  const answer = await pagesOver(undefined).ask("/login");
  expect(answer.body).not.toMatch(/passkey|<script/i);
  expect(answer.headers?.["content-security-policy"]).not.toContain("script-src");
});
