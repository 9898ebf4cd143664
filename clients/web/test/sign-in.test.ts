/** Each way to sign in, and what goes wrong on it. */
import type { JsonObject } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { AuthCallbackRequest, AuthenticateRequest } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { beforeEach, describe, expect, it } from "vitest";
import { SignInError } from "../src/sign-in-error.ts";
import { createVestibuleWebIn, type VestibuleWeb } from "../src/vestibule-web.ts";
import { FakePage, FakeServer, refusal, settle } from "./support.ts";

let page: FakePage;
let server: FakeServer;
let vestibule: VestibuleWeb;
let begun: AuthenticateRequest[];
let ended: AuthCallbackRequest[];
let passkeys: { id: string; name: string }[];
/** What `Authenticate` answers. */
let answer: { endpoint?: string; stateOptions?: JsonObject };

beforeEach(() => {
  page = new FakePage();
  begun = [];
  ended = [];
  passkeys = [];
  answer = {};
  server = new FakeServer({
    authenticate(request) {
      begun.push(request);
      return { state: `state-${begun.length}`, ...answer };
    },
    authCallback(request, context) {
      ended.push(request);
      if (server.session === undefined) server.signIn("s1");
      context.responseHeader.set("location", "https://app.example/done");
      return {};
    },
    listPasskeys: () => ({ passkeys }),
    renamePasskey({ id, name }) {
      const found = passkeys.find((each) => each.id === id);
      if (found === undefined) throw refusal(Code.NotFound, "PASSKEY_NOT_FOUND");
      found.name = name;
      return { passkey: found };
    },
    deletePasskey({ id }) {
      passkeys = passkeys.filter((each) => each.id !== id);
      return {};
    },
  });
  vestibule = createVestibuleWebIn(page, {
    baseUrl: "https://auth.example",
    callbackUrl: "https://app.example/callback",
    fetch: server.fetch,
  });
});

const reasonOf = async (work: Promise<unknown>): Promise<unknown> =>
  await work.then(
    () => undefined,
    (error) => (error instanceof SignInError ? error.reason : ConnectError.from(error).rawMessage),
  );

describe("by mail", () => {
  it("takes the code as typed, and says where to go", async () => {
    const returnTo = "https://app.example/done";
    const entry = await vestibule.beginMailOtp("ada@example.org", { returnTo });
    expect(begun).toMatchObject([
      {
        strategyName: "mailotp",
        email: "ada@example.org",
        returnTo,
        callbackUrl: "https://app.example/callback",
      },
    ]);
    expect(await entry.finish(" abc234 ")).toMatchObject({ session: { id: "s1" }, returnTo });
    expect(ended).toMatchObject([{ strategyName: "mailotp", state: "state-1", code: "abc234" }]);
    expect(vestibule.session.current?.id).toBe("s1");
  });

  it("goes on after the page was loaded anew", async () => {
    const entry = await vestibule.sendMailLink("ada@example.org");
    const stored = JSON.parse(JSON.stringify(entry));
    expect(stored).toEqual({ strategyName: "maillink", state: "state-1", email: "ada@example.org" });
    await vestibule.resumeCodeEntry(stored).finish("ABC234");
    expect(ended).toMatchObject([{ strategyName: "maillink", state: "state-1", code: "ABC234" }]);
  });

  it("lets a wrong code be followed by another", async () => {
    const entry = await vestibule.beginMailOtp("ada@example.org");
    server.next.set("AuthCallback", () => {
      throw refusal(Code.InvalidArgument, "INVALID_OTP");
    });
    expect(await reasonOf(entry.finish("x"))).toBe("invalid_otp");
    expect((await entry.finish("y")).session.id).toBe("s1");
  });

  it("says when the browser did not keep the cookie", async () => {
    server.methods.authCallback = () => ({});
    const entry = await vestibule.beginMailOtp("ada@example.org");
    expect(await reasonOf(entry.finish("x"))).toBe("cookie_refused");
  });

  it("can be given up", async () => {
    const signal = AbortSignal.abort();
    await expect(vestibule.beginMailOtp("ada@example.org", { signal })).rejects.toMatchObject({
      code: Code.Canceled,
    });
    expect(begun).toEqual([]);
  });
});

describe("the first in a browser, which is then known by a cookie", () => {
  /** Has the server keep the next call waiting. Returns what lets it answer. */
  function hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    server.next.set("Authenticate", () => promise);
    return resolve;
  }
  const asked = () => begun.map(({ strategyName }) => strategyName);

  it("begins before any other does, of this tab or another; later ones wait for nobody", async () => {
    const elsewhere = createVestibuleWebIn(new FakePage(page.tabs), {
      baseUrl: "https://auth.example",
      fetch: server.fetch,
    });
    const answer = hold();
    const begins = [
      vestibule.beginMailOtp("ada@example.org"),
      vestibule.sendMailLink("ada@example.org"),
      elsewhere.beginMailOtp("bob@example.org"),
    ];
    await settle();
    expect(server.countOf("Authenticate")).toBe(1);
    answer();
    await Promise.all(begins);
    expect(asked()).toEqual(["mailotp", "maillink", "mailotp"]);

    const answerLater = hold();
    const later = [vestibule.sendMailLink("ada@example.org"), vestibule.beginMailOtp("ada@example.org")];
    await settle();
    expect(server.countOf("Authenticate")).toBe(5);
    answerLater();
    await Promise.all(later);
  });

  it("is waited for five seconds at most", async () => {
    const answer = hold();
    const first = vestibule.beginMailOtp("ada@example.org");
    const second = vestibule.sendMailLink("ada@example.org");
    await settle();
    await page.advance(4999);
    expect(server.countOf("Authenticate")).toBe(1);
    await page.advance(1);
    expect(await second).toMatchObject({ strategyName: "maillink" });
    answer();
    expect(await first).toMatchObject({ strategyName: "mailotp" });
  });

  it("is followed by the next when it was refused", async () => {
    server.next.set("Authenticate", () => {
      throw refusal(Code.Unavailable, "UNAVAILABLE");
    });
    const first = reasonOf(vestibule.beginMailOtp("ada@example.org"));
    const answer = vestibule.sendMailLink("ada@example.org");
    expect(await first).toBe("unavailable");
    expect(await answer).toMatchObject({ strategyName: "maillink" });
  });

  it("can be given up by who waits for it", async () => {
    const answer = hold();
    const first = vestibule.beginMailOtp("ada@example.org");
    const abort = new AbortController();
    const second = vestibule.sendMailLink("ada@example.org", { signal: abort.signal });
    await settle();
    abort.abort();
    await expect(second).rejects.toMatchObject({ code: Code.Canceled });
    answer();
    await first;
    expect(asked()).toEqual(["mailotp"]);
    expect(page.timers).toBe(0);
  });
});

describe("with a provider", () => {
  it("leaves the page", async () => {
    answer.endpoint = "https://idp.example/authorize?x=1";
    await vestibule.signInWithProvider("acme", { email: "ada@example.org" });
    expect(begun).toMatchObject([{ strategyName: "acme", email: "ada@example.org" }]);
    expect(page.visited).toEqual(["https://idp.example/authorize?x=1"]);
  });

  it.each(["", "javascript:alert(1)", "data:text/html,x", "/path"])(
    "goes nowhere for %j",
    async (endpoint) => {
      answer.endpoint = endpoint;
      expect(await reasonOf(vestibule.signInWithProvider("mailotp"))).toBe("not_a_provider");
      expect(page.visited).toEqual([]);
    },
  );

  it("sends state and code of the page's address, and rids it of them", async () => {
    page.url = "https://app.example/callback?tab=2&state=st&code=co&scope=openid#top";
    expect(await vestibule.handleCallback()).toMatchObject({
      kind: "signed_in",
      session: { id: "s1" },
      returnTo: "https://app.example/done",
    });
    const [{ strategyName, state, code, stateOptions } = {}] = ended;
    expect({ strategyName, state, code, stateOptions }).toEqual({
      strategyName: "",
      state: "st",
      code: "co",
      stateOptions: undefined,
    });
    expect(page.url).toBe("https://app.example/callback?tab=2#top");
  });

  it("sends the issuer if there is one", async () => {
    await vestibule.handleCallback("https://app.example/?state=st&code=co&iss=https://idp.example");
    expect(ended[0]?.stateOptions).toEqual({ iss: "https://idp.example" });
    expect(page.url).toBe("https://app.example/");
  });

  it("answers the same when asked twice, as a code is good for once", async () => {
    const url = new URL("https://app.example/?state=st&code=co");
    const [one, two] = await Promise.all([vestibule.handleCallback(url), vestibule.handleCallback(url)]);
    expect(one).toBe(two);
    expect(await vestibule.handleCallback(url)).toBe(one);
    expect(ended).toHaveLength(1);
  });

  it.each(["?state=st", "?code=co", "", "?state=&code=co"])("finds no callback in %j", async (search) => {
    expect(await vestibule.handleCallback(`https://app.example/${search}`)).toEqual({ kind: "none" });
    expect(server.calls).toEqual([]);
  });

  it.each(["state=a&state=b&code=c", "state=a&code=b&code=c", "state=a&code=b&iss=c&iss=d"])(
    "refuses %j",
    async (query) => {
      expect(await reasonOf(vestibule.handleCallback(`https://app.example/?${query}`))).toBe(
        "malformed_callback",
      );
      expect(server.calls).toEqual([]);
    },
  );

  it("tells a person who said no from a failure", async () => {
    page.url = "https://app.example/?state=st&error=access_denied&error_description=No";
    expect(await vestibule.handleCallback()).toEqual({
      kind: "denied",
      error: "access_denied",
      description: "No",
    });
    expect(page.url).toBe("https://app.example/");
    expect(server.calls).toEqual([]);
  });

  it("goes on with the code that joins an account", async () => {
    server.next.set("AuthCallback", () => {
      const metadata = { strategy_name: "mailotp", state: "next", email: "ada@example.org" };
      throw refusal(Code.FailedPrecondition, "LINK_REQUIRED", metadata);
    });
    const result = await vestibule.handleCallback("https://app.example/?state=st&code=co");
    if (result.kind !== "link_required") throw new Error(result.kind);
    expect(result.entry.email).toBe("ada@example.org");
    await result.entry.finish("ABC234");
    expect(ended).toMatchObject([{ strategyName: "mailotp", state: "next", code: "ABC234" }]);
  });

  it("can be tried again when the server was down, not when it refused", async () => {
    page.url = "https://app.example/?state=st&code=co";
    server.next.set("AuthCallback", () => {
      throw new ConnectError("down", Code.Unavailable);
    });
    expect(await reasonOf(vestibule.handleCallback())).toBe("down");
    expect(page.url).toContain("state=st");
    server.next.set("AuthCallback", () => {
      throw refusal(Code.InvalidArgument, "INVALID_FLOW");
    });
    expect(await reasonOf(vestibule.handleCallback())).toBe("invalid_flow");
    expect(page.url).toBe("https://app.example/");
    expect(await reasonOf(vestibule.handleCallback("https://app.example/?state=st&code=co"))).toBe(
      "invalid_flow",
    );
    expect(server.countOf("AuthCallback")).toBe(2);
  });
});

const toLogin = { stateOptions: { type: "login", options: { challenge: "c", timeout: 600_000 } } };
const toRegister = { stateOptions: { type: "register", options: { challenge: "r" } } };

describe("with a passkey", () => {
  beforeEach(() => {
    answer = toLogin;
  });

  it("sends what the browser answered as text of JSON", async () => {
    const signingIn = vestibule.signInWithPasskey();
    await settle();
    expect(page.ceremonies.begun).toEqual([{ type: "authenticate", options: toLogin.stateOptions.options }]);
    page.ceremonies.answer({ id: "cred" });
    expect((await signingIn).session.id).toBe("s1");
    expect(ended).toMatchObject([
      { strategyName: "passkey", state: "state-1", stateOptions: { options: '{"id":"cred"}' } },
    ]);
  });

  it("is not for browsers without, nor for who is signed in", async () => {
    page.ceremonies.supported = false;
    expect(await reasonOf(vestibule.signInWithPasskey())).toBe("passkey_unsupported");
    expect(await vestibule.signInWithPasskey({ conditional: true })).toBeUndefined();
    expect(begun).toEqual([]);
    page.ceremonies.supported = true;
    answer = toRegister;
    expect(await reasonOf(vestibule.signInWithPasskey())).toBe("already_signed_in");
    server.next.set("Authenticate", () => {
      throw refusal(Code.FailedPrecondition, "REAUTH_REQUIRED");
    });
    expect(await reasonOf(vestibule.signInWithPasskey())).toBe("already_signed_in");
    expect(page.ceremonies.begun).toEqual([]);
  });

  it("asks to sign in anew only when told to", async () => {
    answer = toLogin;
    void vestibule.signInWithPasskey({ reauthenticate: true }).catch(() => {});
    await settle();
    void vestibule.signInWithPasskey().catch(() => {});
    await settle();
    expect(begun).toMatchObject([{ reauthenticate: true }, { reauthenticate: false }]);
  });

  it("ends when the person says no, and when it is given up", async () => {
    const refused = vestibule.signInWithPasskey();
    await settle();
    page.ceremonies.fail(new SignInError("passkey_canceled"));
    expect(await reasonOf(refused)).toBe("passkey_canceled");
    const controller = new AbortController();
    const aborted = vestibule.signInWithPasskey({ signal: controller.signal });
    await settle();
    controller.abort(new Error("enough"));
    await expect(aborted).rejects.toThrow("enough");
    expect(ended).toEqual([]);
  });

  it("is offered in autofill, with a new challenge before the old one ends", async () => {
    const offer = vestibule.signInWithPasskey({ conditional: true });
    await settle();
    await page.advance(480_000 - 1);
    expect(begun).toHaveLength(1);
    await page.advance(1);
    expect(begun).toHaveLength(2);
    page.ceremonies.answer({ id: "cred" });
    expect((await offer)?.session.id).toBe("s1");
    expect(ended).toMatchObject([{ state: "state-2" }]);
    await page.advance(3_600_000);
    expect(begun).toHaveLength(2);
  });

  it("asks for no challenge while nobody looks", async () => {
    const offer = vestibule.signInWithPasskey({ conditional: true });
    await settle();
    page.show(false);
    await page.advance(3_600_000);
    expect(begun).toHaveLength(1);
    page.show(true);
    await settle();
    expect(begun).toHaveLength(2);
    page.ceremonies.answer({ id: "cred" });
    expect((await offer)?.session.id).toBe("s1");
  });

  it("is offered no longer once another takes its place, or somebody has signed in", async () => {
    const first = vestibule.signInWithPasskey({ conditional: true });
    await settle();
    const byButton = vestibule.signInWithPasskey();
    expect(await first).toBeUndefined();
    page.ceremonies.fail(new SignInError("passkey_canceled"));
    await reasonOf(byButton);
    const second = vestibule.signInWithPasskey({ conditional: true });
    await settle();
    await vestibule.resumeCodeEntry({ strategyName: "mailotp", state: "x", email: "" }).finish("1");
    expect(await second).toBeUndefined();
  });

  it("is not offered where the browser has no autofill for it", async () => {
    page.ceremonies.autofill = false;
    expect(await vestibule.signInWithPasskey({ conditional: true })).toBeUndefined();
    page.ceremonies.autofill = true;
    const offer = vestibule.signInWithPasskey({ conditional: true });
    await settle();
    page.ceremonies.fail(new SignInError("passkey_unsupported"));
    expect(await offer).toBeUndefined();
  });

  it("says when the server refuses it", async () => {
    const offer = vestibule.signInWithPasskey({ conditional: true });
    await settle();
    server.next.set("AuthCallback", () => {
      throw refusal(Code.InvalidArgument, "INVALID_FLOW");
    });
    page.ceremonies.answer({ id: "cred" });
    expect(await reasonOf(offer)).toBe("invalid_flow");
  });
});

describe("passkeys", () => {
  beforeEach(async () => {
    server.signIn("s1");
    await vestibule.session.refresh();
    answer = toRegister;
    passkeys = [{ id: "a", name: "Passkey" }];
    server.methods.authCallback = (request) => {
      ended.push(request);
      passkeys.push({ id: "b", name: "Passkey 2" });
      return {};
    };
  });

  it.each([
    ["Laptop", "Laptop"],
    [undefined, "Passkey 2"],
  ])("are added under the name %s", async (name, expected) => {
    const adding = vestibule.addPasskey(name);
    await settle();
    page.ceremonies.answer({ id: "cred" });
    expect(await adding).toMatchObject({ id: "b", name: expected });
    expect(ended).toMatchObject([{ state: "state-1", stateOptions: { options: '{"id":"cred"}' } }]);
    expect(vestibule.session.current?.id).toBe("s1");
  });

  it("are added by who is signed in, just now, and to a device that has none", async () => {
    answer = toLogin;
    expect(await reasonOf(vestibule.addPasskey())).toBe("not_signed_in");
    answer = toRegister;
    server.next.set("Authenticate", () => {
      throw refusal(Code.FailedPrecondition, "REAUTH_REQUIRED");
    });
    expect(await reasonOf(vestibule.addPasskey())).toBe("reauth_required");
    const adding = vestibule.addPasskey();
    await settle();
    page.ceremonies.fail(new SignInError("passkey_exists"));
    expect(await reasonOf(adding)).toBe("passkey_exists");
    page.ceremonies.supported = false;
    expect(await reasonOf(vestibule.addPasskey())).toBe("passkey_unsupported");
    expect(passkeys).toHaveLength(1);
  });

  it("are listed, renamed and removed", async () => {
    expect(await vestibule.passkeys.list()).toMatchObject([{ id: "a", name: "Passkey" }]);
    expect(await vestibule.passkeys.rename("a", "Phone")).toMatchObject({ id: "a", name: "Phone" });
    expect(await reasonOf(vestibule.passkeys.rename("x", "Phone"))).toBe("passkey_not_found");
    await vestibule.passkeys.remove("a");
    expect(await vestibule.passkeys.list()).toEqual([]);
  });
});
