import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import type { FunctionRoute, PlainResponse } from "../http/plain-route.ts";
import { newRequestInfo } from "../sessions/test-support.ts";
import type { BrowserSignIn } from "./browser-sign-in.ts";
import { type CallbackResult, createCallbackRoutes } from "./callback-routes.ts";
import { createFormPostRoutes } from "./form-post-routes.ts";
import type { Proof } from "./strategy.ts";
import {
  createFakeMail,
  createFakeProvider,
  createTestBrowserSignIn,
  openSignIn,
  publicUrl,
  type SignInParts,
  testBrowsers,
} from "./test-support.ts";

describeDatabases("callback routes", (under) => {
  let aheadMs = 0;
  const clock = { now: () => new Date(Date.now() + aheadMs) };
  const mail = createFakeMail();
  const google = createFakeProvider("google");
  const apple = { ...createFakeProvider("apple"), isAnsweredByForm: true };
  const postedUsers: (string | undefined)[] = [];
  const finishAtApple = apple.finish;
  apple.finish = async (request) => {
    postedUsers.push(request.user);
    return await finishAtApple(request);
  };
  const issuers: (string | undefined)[] = [];
  const finishAtGoogle = google.finish.bind(google);
  google.finish = async (request) => {
    issuers.push(request.issuer);
    return await finishAtGoogle(request);
  };
  const shown: CallbackResult[] = [];
  let signIn: SignInParts;
  let browserSignIn: BrowserSignIn;
  let routes: readonly FunctionRoute[];

  function routeOf(method: string, path: string): FunctionRoute {
    const found = routes.find((route) => route.method === method && route.path === path);
    if (found === undefined) throw new Error(`no ${method} ${path}`);
    return found;
  }

  beforeAll(async () => {
    signIn = await openSignIn(under.database, { clock, strategies: [mail, google, apple] });
    browserSignIn = createTestBrowserSignIn(signIn);
    const strategies = [google, apple, { callbackUrl: `${publicUrl}/auth/callback/other` }];
    const renderResult = (result: CallbackResult): PlainResponse => {
      shown.push(result);
      return { status: 299 };
    };
    const callbacks = createCallbackRoutes({
      browserSignIn,
      authenticator: signIn.parts.authenticator,
      browsers: testBrowsers,
      renderResult,
      navigate: (url, setCookies) => ({
        status: 303,
        headers: { location: url, "set-cookie": [...setCookies] },
      }),
      publicUrl,
      strategies,
      defaultReturnTo: `${publicUrl}/account`,
    });
    routes = [...callbacks, ...createFormPostRoutes({ browserSignIn, renderResult, strategies })];
  });
  afterAll(() => signIn.close());

  let count = 0;
  const newEmail = () => `ada-${count++}@example.org`;

  /** A browser: the cookies of its last answers. */
  class Browser {
    readonly #cookies = new Map<string, string>();

    get header(): Headers {
      return new Headers({
        cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; "),
      });
    }

    keep(setCookies: readonly string[]): void {
      for (const line of setCookies) {
        const [name = "", value = ""] = (line.split(";")[0] ?? "").split("=");
        this.#cookies.set(name, value);
      }
    }

    async begin(
      strategyName: string,
      asked: { email?: string; returnTo?: string; callbackUrl?: string } = {},
    ): Promise<string> {
      const { callbackUrl = "" } = { google, apple }[strategyName] ?? {};
      const { flow, setCookies } = await browserSignIn.begin(
        { strategyName, email: "", returnTo: "", callbackUrl, ...asked },
        { header: this.header, info: newRequestInfo(), principal: undefined },
      );
      this.keep(setCookies);
      await signIn.service.drain();
      return flow.state;
    }

    async visit(
      query: Record<string, string>,
      method = "GET",
      path = "/auth/callback/google",
    ): Promise<PlainResponse> {
      const parameters = new URLSearchParams(query);
      const request = { method, path, query: parameters, header: this.header, body: Buffer.from("") };
      return this.#keep(await routeOf("GET", path).handle({ ...request, info: newRequestInfo() }));
    }

    async post(form: Record<string, string>): Promise<PlainResponse> {
      const header = this.header;
      header.set("content-type", "application/x-www-form-urlencoded");
      header.set("origin", publicUrl);
      const body = Buffer.from(new URLSearchParams(form).toString());
      const request = { method: "POST", path: "/auth/callback", query: new URLSearchParams(), header, body };
      return this.#keep(
        await routeOf("POST", "/auth/callback").handle({ ...request, info: newRequestInfo() }),
      );
    }

    /** Posts from a provider's page, with no cookie of ours: `SameSite=Lax` lets none along. */
    async postFromProvider(
      form: Record<string, string> | string,
      header: Record<string, string> = {},
    ): Promise<PlainResponse> {
      const request = {
        method: "POST",
        path: "/auth/callback/apple",
        query: new URLSearchParams(),
        header: new Headers({
          "content-type": "application/x-www-form-urlencoded",
          origin: "https://apple.example",
          "sec-fetch-site": "cross-site",
          ...header,
        }),
        body: Buffer.from(new URLSearchParams(form).toString()),
        info: newRequestInfo(),
      };
      return await routeOf("POST", "/auth/callback/apple").handle(request);
    }

    #keep(response: PlainResponse): PlainResponse {
      this.keep([response.headers?.["set-cookie"] ?? []].flat());
      return response;
    }
  }

  function person(proof: Partial<Extract<Proof, { kind: "identity" }>> = {}, at = google): string {
    const code = randomBytes(8).toString("hex");
    at.people.set(code, {
      kind: "identity",
      issuer: "https://google.example",
      subject: code,
      email: newEmail(),
      emailVerified: true,
      isAuthoritative: true,
      ...proof,
    });
    return code;
  }

  const cookiesOf = ({ headers }: PlainResponse) => [headers?.["set-cookie"] ?? []].flat();

  describe("an answer that a provider has the browser post", () => {
    const path = "/auth/callback/apple";
    const refusedWith = (reason: string) => ({ kind: "refused", error: expect.objectContaining({ reason }) });

    async function begin(browser = new Browser()) {
      const state = await browser.begin("apple", { returnTo: "https://app.example.org/home" });
      return { browser, state, code: person({}, apple) };
    }
    const isSignedIn = (answer: PlainResponse) =>
      answer.status === 303 && cookiesOf(answer).some((line) => line.startsWith("sid="));

    it("signs in once the browser comes for it with its cookie, and is in no URL", async () => {
      const { browser, state, code } = await begin();
      const user = JSON.stringify({ name: { firstName: "Ann" } });
      const posted = await browser.postFromProvider({ state, code, user });
      expect(posted).toEqual({
        status: 303,
        headers: {
          location: `${path}?state=${state}`,
          "cache-control": "no-store",
          "referrer-policy": "no-referrer",
        },
      });
      const answer = await browser.visit({ state }, "GET", path);
      expect(answer.headers?.location).toBe("https://app.example.org/home");
      expect(isSignedIn(answer)).toBe(true);
      expect(postedUsers.at(-1)).toBe(user);
    });

    it("is taken once", async () => {
      const { browser, state, code } = await begin();
      await browser.postFromProvider({ state, code });
      shown.length = 0;
      expect(await browser.postFromProvider({ state, code })).toEqual({ status: 299 });
      expect(shown).toEqual([refusedWith("INVALID_FLOW")]);
      expect(isSignedIn(await browser.visit({ state }, "GET", path))).toBe(true);
      const stranger = new Browser();
      expect(await stranger.postFromProvider({ state, code })).toEqual({ status: 299 });
      expect(await stranger.visit({ state }, "GET", path)).toEqual({ status: 299 });
    });

    it("is kept once of many that come at once", async () => {
      const { browser, state, code } = await begin();
      const answers = await Promise.all(
        Array.from({ length: 8 }, () => browser.postFromProvider({ state, code })),
      );
      expect(answers.filter(({ status }) => status === 303)).toHaveLength(1);
      const visits = await Promise.all(
        Array.from({ length: 4 }, () => browser.visit({ state }, "GET", path)),
      );
      expect(visits.filter(isSignedIn)).toHaveLength(1);
    });

    it("signs nobody in who began nothing, as where another site posts its own sign-in", async () => {
      const { browser: attacker, state, code } = await begin();
      const victim = new Browser();
      await victim.begin("apple");
      expect((await victim.postFromProvider({ state, code })).status).toBe(303);
      shown.length = 0;
      expect(await victim.visit({ state }, "GET", path)).toEqual({ status: 299 });
      expect(shown).toEqual([refusedWith("INVALID_AUTH_STATE")]);
      // It is the flow's own browser that may come for it.
      expect(isSignedIn(await attacker.visit({ state }, "GET", path))).toBe(true);
    });

    it("waits two minutes, and no longer", async () => {
      const { browser, state, code } = await begin();
      const late = await begin();
      await browser.postFromProvider({ state, code });
      await late.browser.postFromProvider({ state: late.state, code: late.code });
      aheadMs += 110_000;
      expect(isSignedIn(await browser.visit({ state }, "GET", path))).toBe(true);
      aheadMs += 20_000;
      expect(await late.browser.visit({ state: late.state }, "GET", path)).toEqual({ status: 299 });
    });

    it("that is an error ends the flow, in its own browser alone", async () => {
      const { browser, state } = await begin();
      expect((await browser.postFromProvider({ state, error: "user_cancelled_authorize" })).status).toBe(303);
      shown.length = 0;
      await new Browser().visit({ state }, "GET", path);
      expect(shown).toEqual([refusedWith("INVALID_AUTH_STATE")]);
      await browser.visit({ state }, "GET", path);
      expect(shown.at(-1)).toEqual({ kind: "denied", returnTo: "https://app.example.org/home" });
      await browser.visit({ state }, "GET", path);
      expect(shown.at(-1)).toEqual(refusedWith("INVALID_FLOW"));
    });

    it.each<[string, (state: string, code: string) => Record<string, string> | string, string, object?]>([
      ["of no flow", (_, code) => ({ state: "x".repeat(43), code }), "INVALID_FLOW"],
      ["without a state", (_, code) => ({ code }), "INVALID_FLOW"],
      ["without a code", (state) => ({ state }), "CODE_MISSING"],
      ["with two codes", (state, code) => `state=${state}&code=${code}&code=x`, "INVALID_FLOW"],
      ["with two states", (state, code) => `state=${state}&state=x&code=${code}`, "INVALID_FLOW"],
      ["with two users", (state, code) => `state=${state}&code=${code}&user={}&user={}`, "INVALID_FLOW"],
      ["too long a code", (state) => ({ state, code: "x".repeat(8193) }), "INVALID_FLOW"],
      ["too large", (state, code) => ({ state, code, more: "x".repeat(32_768) }), "INVALID_REQUEST"],
      [
        "as JSON",
        (state, code) => ({ state, code }),
        "INVALID_REQUEST",
        { "content-type": "application/json" },
      ],
      [
        "as plain text",
        (state, code) => ({ state, code }),
        "INVALID_REQUEST",
        { "content-type": "text/plain" },
      ],
    ])("is refused %s, and nothing is kept of it", async (_, toForm, reason, header = {}) => {
      const { browser, state, code } = await begin();
      shown.length = 0;
      expect(await browser.postFromProvider(toForm(state, code), { ...header })).toEqual({ status: 299 });
      expect(shown).toEqual([refusedWith(reason)]);
      expect((await browser.postFromProvider({ state, code })).status).toBe(303);
      expect(isSignedIn(await browser.visit({ state }, "GET", path))).toBe(true);
    });

    it("is refused of a flow of a provider that answers in the URL, or for a page of a client", async () => {
      const browser = new Browser();
      const state = await browser.begin("google");
      shown.length = 0;
      await browser.postFromProvider({ state, code: person() });
      expect(shown).toEqual([refusedWith("INVALID_AUTH_STATE")]);
      const elsewhere = await browser.begin("apple", { callbackUrl: "https://app.example.org/callback" });
      await browser.postFromProvider({ state: elsewhere, code: person({}, apple) });
      expect(shown.at(-1)).toEqual(refusedWith("INVALID_AUTH_STATE"));
    });

    it("is not taken out of a URL", async () => {
      const { browser, state, code } = await begin();
      shown.length = 0;
      await browser.visit({ state, code }, "GET", path);
      expect(shown).toEqual([refusedWith("CODE_MISSING")]);
    });
  });

  describe("an answer of a provider", () => {
    it("signs in and sends on, with the issuer that was named", async () => {
      const browser = new Browser();
      const state = await browser.begin("google", { returnTo: "https://app.example.org/home" });
      const answer = await browser.visit({ state, code: person(), iss: "https://google.example" });
      expect(answer).toMatchObject({
        status: 303,
        headers: { location: "https://app.example.org/home", "cache-control": "no-store" },
      });
      expect(cookiesOf(answer)).toEqual([
        expect.stringMatching(/^sid=.*; Secure$/),
        expect.stringMatching(/^__Host-vestibule_device=.*; Secure$/),
      ]);
      expect(issuers.at(-1)).toBe("https://google.example");
      const again = await new Browser().begin("google");
      expect(again).not.toBe(state);
    });

    it("is refused in another browser, and stays good in its own (C6)", async () => {
      const [browser, stranger] = [new Browser(), new Browser()];
      await stranger.begin("google");
      const answer = { state: await browser.begin("google"), code: person() };
      expect(cookiesOf(await stranger.visit(answer))).toEqual([]);
      expect(shown.at(-1)).toMatchObject({ kind: "refused", error: { reason: "INVALID_AUTH_STATE" } });
      expect((await browser.visit(answer)).status).toBe(303);
    });

    it("is refused under another provider's name, and stays good under its own (C7)", async () => {
      const browser = new Browser();
      const answer = { state: await browser.begin("google"), code: person() };
      for (const strategy_name of ["maillink", "elsewhere"]) {
        expect(cookiesOf(await browser.visit({ ...answer, strategy_name }))).toEqual([]);
        expect(shown.at(-1)).toMatchObject({ kind: "refused", error: { reason: "INVALID_AUTH_STATE" } });
      }
      expect((await browser.visit({ ...answer, strategy_name: "google" })).status).toBe(303);
    });

    it("is refused a second time, but does not bother whoever is signed in by now", async () => {
      const browser = new Browser();
      const answer = { state: await browser.begin("google"), code: person() };
      await browser.visit(answer);
      const again = await browser.visit(answer);
      expect(again).toMatchObject({ status: 303, headers: { location: `${publicUrl}/account` } });
      expect(cookiesOf(again)).toEqual([]);
      await new Browser().visit(answer);
      expect(shown.at(-1)).toMatchObject({ kind: "refused", error: { reason: "INVALID_FLOW" } });
    });

    it("is taken at its provider's own path alone, also where it is a no, and stays good there", async () => {
      const browser = new Browser();
      const answer = { state: await browser.begin("google"), code: person() };
      for (const path of ["/auth/callback", "/auth/callback/other"]) {
        await browser.visit({ state: answer.state, error: "access_denied" }, "GET", path);
        expect(cookiesOf(await browser.visit(answer, "GET", path))).toEqual([]);
        expect(shown.at(-1)).toMatchObject({ kind: "refused", error: { reason: "INVALID_AUTH_STATE" } });
      }
      expect((await browser.visit(answer)).status).toBe(303);
    });

    it("of a flow for a client's page is not taken", async () => {
      const browser = new Browser();
      const callbackUrl = "https://app.example.org/callback";
      const answer = { state: await browser.begin("google", { callbackUrl }), code: person() };
      for (const path of ["/auth/callback", "/auth/callback/google"]) {
        expect(cookiesOf(await browser.visit(answer, "GET", path))).toEqual([]);
        expect(shown.at(-1)).toMatchObject({ kind: "refused", error: { reason: "INVALID_AUTH_STATE" } });
      }
    });

    it("is not taken from HEAD", async () => {
      const browser = new Browser();
      const answer = { state: await browser.begin("google"), code: person() };
      expect(await browser.visit(answer, "HEAD")).toEqual({ status: 200 });
      expect((await browser.visit(answer)).status).toBe(303);
    });

    it("is not taken from a form", async () => {
      const browser = new Browser();
      const state = await browser.begin("google");
      await browser.post({ state, code: person(), token: "" });
      expect(shown.at(-1)).toMatchObject({ kind: "refused", error: { reason: "CROSS_ORIGIN" } });
    });

    it("ends the flow when the person said no, in their own browser alone", async () => {
      const browser = new Browser();
      const state = await browser.begin("google");
      await new Browser().visit({ state, error: "access_denied" });
      await browser.visit({ state, error: "access_denied" });
      expect(shown.at(-1)).toEqual({ kind: "denied" });
      await browser.visit({ state, code: person() });
      expect(shown.at(-1)).toMatchObject({ kind: "refused", error: { reason: "INVALID_FLOW" } });
    });

    it("asks for the mailbox where the identity may not join at once", async () => {
      const email = newEmail();
      const owner = new Browser();
      const begun = await owner.begin("mailotp", { email });
      const browser = new Browser();
      await browserSignIn.finish(
        { strategyName: "", state: begun, code: mail.sent.get(email) ?? "", stateOptions: {} },
        { header: owner.header, info: newRequestInfo(), principal: undefined },
      );
      const state = await browser.begin("google");
      const code = person({ email, isAuthoritative: false });
      await browser.visit({ state, code });
      await signIn.service.drain();
      const result = shown.at(-1);
      if (result?.kind !== "link_required") throw new Error(`shown: ${result?.kind}`);
      expect(result).toMatchObject({ strategyName: "mailotp", form: { email } });
      const { state: next, formToken: token } = result.form;
      await browser.post({ state: next, token, code: "wrong" });
      expect(shown.at(-1)).toMatchObject({
        kind: "refused",
        error: { reason: "INVALID_OTP" },
        form: result.form,
      });
      const linked = await browser.post({ state: next, token, code: mail.sent.get(email) ?? "" });
      expect(linked.status).toBe(303);
      const later = await browser.visit({ state: await browser.begin("google"), code });
      expect(later.status).toBe(303);
    });
  });

  it("passes on what is nobody's refusal", async () => {
    const browser = new Browser();
    const state = await browser.begin("google");
    const { people } = google;
    const code = person();
    google.people.get = () => {
      throw new Error("broken");
    };
    await expect(browser.visit({ state, code })).rejects.toThrow("broken");
    google.people.get = Map.prototype.get.bind(people);
  });
});
