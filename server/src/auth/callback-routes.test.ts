import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import type { FunctionRoute, PlainResponse } from "../http/plain-route.ts";
import { newRequestInfo } from "../sessions/test-support.ts";
import type { BrowserSignIn } from "./browser-sign-in.ts";
import { type CallbackResult, createCallbackRoutes } from "./callback-routes.ts";
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
  const clock = { now: () => new Date() };
  const mail = createFakeMail();
  const google = createFakeProvider("google");
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
    signIn = await openSignIn(under.database, { clock, strategies: [mail, google] });
    browserSignIn = createTestBrowserSignIn(signIn);
    routes = createCallbackRoutes({
      browserSignIn,
      authenticator: signIn.parts.authenticator,
      browsers: testBrowsers,
      renderResult: (result) => {
        shown.push(result);
        return { status: 299 };
      },
      navigate: (url, setCookies) => ({
        status: 303,
        headers: { location: url, "set-cookie": [...setCookies] },
      }),
      publicUrl,
      providerUrls: [google.callbackUrl ?? "", `${publicUrl}/auth/callback/other`],
      defaultReturnTo: `${publicUrl}/account`,
    });
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
      const callbackUrl = strategyName === "google" ? (google.callbackUrl ?? "") : "";
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

    #keep(response: PlainResponse): PlainResponse {
      this.keep([response.headers?.["set-cookie"] ?? []].flat());
      return response;
    }
  }

  function person(proof: Partial<Extract<Proof, { kind: "identity" }>> = {}): string {
    const code = randomBytes(8).toString("hex");
    google.people.set(code, {
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
