import { randomBytes } from "node:crypto";
import { sql } from "kysely";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { eventually } from "../../../test/parts/eventually.ts";
import { openRedirects } from "../../../test/parts/open-redirects.ts";
import { raceForUser } from "../../../test/parts/races.ts";
import { readTableShapes } from "../db/table-shapes.ts";
import { insertFrontdoor } from "../frontdoor/frontdoors/store.ts";
import { confirm } from "../gate/sessions/confirmation-store.ts";
import { DomainError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { hashSecret } from "../lib/secrets.ts";
import type { Counted } from "../limits/rates.ts";
import { insertMember } from "../organizations/member-store.ts";
import { findOrganization, insertOrganization, updateOrganizationState } from "../organizations/store.ts";
import { PasskeyService } from "../passkeys/service.ts";
import { deletePasskey, insertPasskey } from "../passkeys/store.ts";
import { holdSession } from "../sessions/store.ts";
import { newRequestInfo } from "../sessions/test-support.ts";
import { insertIdentity } from "../users/identity-store.ts";
import { savePreference } from "../users/preference-store.ts";
import { findUser, insertUser, updateUserState } from "../users/store.ts";
import type { User } from "../users/user.ts";
import { deleteExpiredFlows } from "./flow-store.ts";
import { deleteSentCodes } from "./sent-code-store.ts";
import type { BeginFlow, FinishFlow } from "./service.ts";
import type { Proof, Strategy } from "./strategy.ts";
import {
  createFakeMail,
  createFakeProvider,
  openSignIn,
  publicUrl,
  type SignInParts,
  toBegin,
  toFinish,
} from "./test-support.ts";

const plainRoute = `${publicUrl}/auth/callback`;
const appPage = "https://app.example.org/callback";
const newBrowser = () => randomBytes(32).toString("base64url");
const expired = { reason: "INVALID_FLOW", kind: "invalid_argument", message: "invalid flow or expired" };
const badState = {
  reason: "INVALID_AUTH_STATE",
  kind: "invalid_argument",
  message: "invalid auth state",
};
const badCode = { reason: "INVALID_OTP", kind: "invalid_argument", message: "invalid mail otp" };

describeDatabases("sign-in", (under) => {
  let nowMs = Date.now();
  const clock = { now: () => new Date(nowMs) };
  const mail = createFakeMail();
  const google = createFakeProvider("google");
  const other = createFakeProvider("other");
  const passkey: Strategy = {
    name: "passkey",
    params: {},
    flowSeconds: 600,
    attempts: "once",
    begin: async ({ user }) => ({
      secret: {},
      stateOptions: { type: user === undefined ? "login" : "register" },
    }),
    finish: async ({ code, flow }) => {
      if (flow.user === undefined) return { kind: "passkey", userId: code, passkeyId: "k" };
      return { kind: "registration", userId: flow.user.userId, passkeyId: "k" };
    },
  };
  const strategies = [mail, google, other, passkey];
  let here: SignInParts;
  let there: SignInParts;

  beforeAll(async () => {
    here = await openSignIn(under.database, { clock, strategies });
    there = await openSignIn(await under.openAnother(), { clock, strategies });
  });
  afterAll(async () => {
    await here.close();
    await there.close();
  });
  beforeEach(() => {
    nowMs = Date.now();
    mail.failure = undefined;
  });

  let count = 0;
  const newEmail = () => `ada-${count++}-${under.dialect}@example.org`;

  /** Begins by mail and answers what its owner then knows. */
  async function beginByMail(email: string, browser = newBrowser()) {
    const { state } = await here.service.begin(toBegin({ email, browser }));
    await here.service.drain();
    return { state, code: mail.sent.get(email.toLowerCase()) ?? "", browsers: [browser] };
  }

  async function beginAt(strategyName: string, proof: Proof, browser = newBrowser()) {
    const code = randomBytes(8).toString("hex");
    google.people.set(code, proof);
    other.people.set(code, proof);
    const { state } = await here.service.begin(toBegin({ strategyName, browser }));
    return { state, code, browsers: [browser] };
  }

  const finish = (given: Partial<FinishFlow>, at = here) => at.service.finish(toFinish(given));

  async function signInByMail(email: string) {
    const { begun } = await finish(await beginByMail(email));
    if (begun === undefined) throw new Error("no session");
    return begun;
  }

  function identity(proof: Partial<Extract<Proof, { kind: "identity" }>>): Proof {
    const subject = randomBytes(8).toString("hex");
    const issuer = "https://google.example";
    return { kind: "identity", issuer, subject, emailVerified: true, isAuthoritative: false, ...proof };
  }

  /** What every call came to: the user's id, or the reason it was refused. */
  async function settle(calls: readonly Promise<Awaited<ReturnType<typeof finish>>>[]): Promise<string[]> {
    return await Promise.all(
      calls.map((call) =>
        call.then(
          ({ begun }) => begun?.session.userId ?? "",
          (error: unknown) => (error instanceof DomainError ? error.reason : String(error)),
        ),
      ),
    );
  }

  describe("a flow", () => {
    it("makes an account, then finds it again", async () => {
      const email = newEmail();
      const first = await signInByMail(email);
      const second = await signInByMail(email.toUpperCase());
      expect(second.session.userId).toBe(first.session.userId);
      const principal = await here.parts.authenticator.authenticateCookie(second.cookie);
      expect(principal).toMatchObject({ id: first.session.userId, email });
    });

    it("makes exactly one session, however many redeem it at once (C1)", async () => {
      const flow = await beginByMail(newEmail());
      const calls = Array.from({ length: 50 }, (_, index) => finish(flow, index % 2 ? here : there));
      const outcomes = await settle(calls);
      expect(outcomes.filter((outcome) => outcome.length === 36)).toHaveLength(1);
      expect(new Set(outcomes.filter((outcome) => outcome.length !== 36)).size).toBeLessThanOrEqual(2);
      for (const outcome of outcomes) expect(outcome).toMatch(/^(INVALID_FLOW|INVALID_OTP|.{36})$/);
    });

    it("makes exactly one session of a provider's answer, however many bring it at once", async () => {
      const flow = await beginAt("google", identity({ email: newEmail() }));
      const outcomes = await settle(
        Array.from({ length: 50 }, (_, index) => finish(flow, index % 2 ? here : there)),
      );
      expect(outcomes.filter((outcome) => outcome !== "INVALID_FLOW")).toHaveLength(1);
    });

    it("makes one account of two first sign-ins that race", async () => {
      const email = newEmail();
      const flows = [await beginByMail(email), await beginByMail(email), await beginByMail(email)];
      const codes = flows.map(async (flow, index) => {
        // Each mail replaced the one before in the fake; the codes are in the flows.
        const kept = await here.flows.findLive(flow.state);
        const code = kept && String(here.flows.unseal(kept).strategy.code);
        return await finish({ ...flow, code: code ?? "" }, index % 2 ? here : there);
      });
      const users = await settle(codes);
      expect(new Set(users).size).toBe(1);
      expect(users[0]).toHaveLength(36);
    });

    it("is over when it has been used, and when its time has come", async () => {
      const used = await beginByMail(newEmail());
      await finish(used);
      await expect(finish(used)).rejects.toMatchObject(expired);
      const late = await beginByMail(newEmail());
      nowMs += 600_000;
      await expect(finish(late)).rejects.toMatchObject(expired);
      nowMs -= 1;
      await finish(late);
    });

    it("is refused when it is unknown or nameless", async () => {
      await expect(finish({ state: "unknown", browsers: [newBrowser()] })).rejects.toMatchObject(expired);
      await expect(finish({ browsers: [newBrowser()] })).rejects.toMatchObject(expired);
    });

    it("belongs to the browser it began in, and stays usable there (C6)", async () => {
      for (const flow of [
        await beginByMail(newEmail()),
        await beginAt("google", identity({ email: newEmail() })),
      ]) {
        await expect(finish({ ...flow, browsers: [newBrowser()] })).rejects.toMatchObject(badState);
        await expect(finish({ ...flow, browsers: [] })).rejects.toMatchObject(badState);
        expect((await finish({ ...flow, browsers: [newBrowser(), ...flow.browsers] })).begun).toBeDefined();
      }
    });

    it("belongs to its strategy (C7)", async () => {
      const flow = await beginAt("google", identity({ email: newEmail() }));
      await expect(finish({ ...flow, strategyName: "other" })).rejects.toMatchObject(badState);
      await expect(finish({ ...flow, strategyName: "unheard-of" })).rejects.toMatchObject({
        reason: "UNSUPPORTED_STRATEGY",
        message: "unsupported authentication method",
      });
      expect((await finish({ ...flow, strategyName: "google" })).begun).toBeDefined();
    });

    it("ends at the first answer where only one is allowed", async () => {
      const flow = await beginAt("google", identity({ email: newEmail() }));
      await expect(finish({ ...flow, code: "" })).rejects.toMatchObject({ reason: "CODE_MISSING" });
      await expect(finish(flow)).rejects.toMatchObject(expired);
    });

    it("keeps neither state nor secret in clear", async () => {
      const flow = await beginByMail(newEmail());
      const rows = JSON.stringify(await under.database.reader.selectFrom("auth_flows").selectAll().execute());
      expect(rows).not.toContain(flow.state);
      expect(rows).not.toContain(flow.code);
      expect(rows).not.toContain(flow.browsers[0]);
    });

    it("is removed when its mail cannot be sent", async () => {
      mail.failure = new DomainError("UNAVAILABLE");
      const { state, browsers } = await beginByMail(newEmail());
      await expect(finish({ state, browsers })).rejects.toMatchObject(expired);
    });

    it("is abandoned by its own browser alone", async () => {
      const flow = await beginByMail(newEmail());
      const asked = { browsers: flow.browsers, info: newRequestInfo() };
      const answer = { route: plainRoute, error: "access_denied" };
      await here.service.abandon(flow.state, { ...asked, browsers: [newBrowser()] }, answer);
      expect(await here.service.peek(flow.state, asked)).toMatchObject({ isSameBrowser: true });
      await here.service.abandon(flow.state, asked, { ...answer, route: `${plainRoute}/google` });
      expect(await here.service.peek(flow.state, asked)).toMatchObject({ isSameBrowser: true });
      await here.service.abandon(flow.state, asked, answer);
      await expect(here.service.peek(flow.state, { ...asked, browsers: [] })).rejects.toMatchObject(expired);
    });

    it.each([
      ["a provider's own URL", "google", `${plainRoute}/google`, [`${plainRoute}/google`], "CODE_MISSING"],
      ["a client's page", "google", appPage, [undefined], "CODE_MISSING"],
      ["no provider, with a code", "mailotp", "", [undefined, plainRoute], "INVALID_OTP"],
      ["no provider, without one", "passkey", "", [undefined], "USER_NOT_FOUND"],
    ])("for %s is judged there alone, and goes on where it is not", async (_, name, url, good, reason) => {
      const browsers = [newBrowser()];
      const asked = { strategyName: name, callbackUrl: url, browser: browsers[0] ?? "", email: newEmail() };
      const { state } = await here.service.begin(toBegin(asked));
      const finishAt = (route: string | undefined) =>
        finish({ state, browsers, code: newBrowser(), ...(route !== undefined && { route }) });
      const routes = [undefined, plainRoute, `${plainRoute}/google`, `${plainRoute}/other`];
      for (const route of routes.filter((each) => !good.includes(each))) {
        await expect(finishAt(route)).rejects.toMatchObject(badState);
        if (route !== undefined)
          await here.service.abandon(state, { browsers, info: newRequestInfo() }, { route, error: "e" });
      }
      for (const route of good) await expect(finishAt(route)).rejects.toMatchObject({ reason });
    });

    it("is over when its time is up, and swept an hour later", async () => {
      const flow = await beginByMail(newEmail());
      const sweep = (atMs: number) =>
        under.database.transaction((tx) => deleteExpiredFlows(tx, new Date(atMs), 10_000));
      await sweep(nowMs + 599_999);
      expect(await here.flows.findLive(flow.state)).toBeDefined();
      await sweep(nowMs + 600_000 + 3_599_999);
      expect(await here.flows.find(flow.state)).toBeDefined();
      await sweep(nowMs + 600_000 + 3_600_000);
      expect(await here.flows.find(flow.state)).toBeUndefined();
    });

    it("refuses a disabled user, and tells nothing before that", async () => {
      const email = newEmail();
      const { session } = await signInByMail(email);
      await under.database.transaction(async (tx) => {
        await tx.updateTable("users").set({ state: "disabled" }).where("id", "=", session.userId).execute();
        await here.parts.feed.append(tx, { topic: "user", subject: session.userId });
      });
      const flow = await beginByMail(email);
      await expect(finish(flow)).rejects.toMatchObject({
        reason: "PRINCIPAL_DISABLED",
        kind: "permission_denied",
      });
      await expect(finish(flow)).rejects.toMatchObject(expired);
    });

    it("takes the place of the session it came with", async () => {
      const email = newEmail();
      const old = await signInByMail(email);
      const live = await here.parts.authenticator.findByCookie(old.cookie);
      const flow = await beginByMail(email);
      await finish({ ...flow, sessions: live ? [live] : [] });
      await expect(here.parts.authenticator.authenticateCookie(old.cookie)).rejects.toMatchObject({
        reason: "NOT_AUTHENTICATED",
      });
    });
  });

  describe("how its beginning is counted", () => {
    /** Addresses that have begun, and have not been given back. */
    const open: string[] = [];
    const flowLimits = {
      take(address: string) {
        if (address === "192.0.2.99") throw new DomainError("TOO_MANY_FLOWS", { retryAfterSeconds: 7 });
        open.push(address);
        return { key: address, at: new Date(nowMs) };
      },
      giveBack({ key, at }: Counted) {
        expect(at.getTime()).toBeLessThanOrEqual(nowMs);
        open.splice(open.indexOf(key), 1);
      },
    };
    let counting: SignInParts;
    beforeAll(async () => {
      counting = await openSignIn(under.database, { clock, strategies, flowLimits });
    });
    afterAll(() => counting.close());
    beforeEach(() => open.splice(0));

    let addresses = 0;
    async function beginCounted(asked: Partial<BeginFlow>) {
      const browser = newBrowser();
      const info = { ...newRequestInfo(), clientAddress: `192.0.2.${addresses++}` };
      const { state } = await counting.service.begin(toBegin({ browser, info, ...asked }));
      await counting.service.drain();
      return { state, browsers: [browser], address: info.clientAddress };
    }

    it("is given back at a good end, wherever that comes from, and at no other", async () => {
      const email = newEmail();
      const flow = await beginCounted({ email });
      expect(open).toEqual([flow.address]);
      await expect(finish({ ...flow, code: "wrong" }, counting)).rejects.toMatchObject(badCode);
      expect(open).toEqual([flow.address]);
      await finish({ ...flow, code: mail.sent.get(email) ?? "" }, counting);
      expect(open).toEqual([]);
      const atGoogle = await beginCounted({ strategyName: "google" });
      await expect(finish({ ...atGoogle, code: "wrong" }, counting)).rejects.toThrow();
      expect(open).toEqual([atGoogle.address]);
    });

    it("goes over to the sign-in that proves the mailbox", async () => {
      const email = newEmail();
      await signInByMail(email);
      const flow = await beginCounted({ strategyName: "google" });
      google.people.set(flow.state, identity({ email }));
      const refused = await finish({ ...flow, code: flow.state }, counting).catch((error) => error);
      expect(refused).toMatchObject({ reason: "LINK_REQUIRED" });
      expect(open).toEqual([flow.address]);
      await counting.service.drain();
      const { state } = refused.metadata;
      await finish({ state, browsers: flow.browsers, code: mail.sent.get(email) ?? "" }, counting);
      expect(open).toEqual([]);
    });

    it("is given back where nothing was begun, and none is counted that asks for nothing good", async () => {
      const failing = vi.spyOn(google, "begin").mockRejectedValueOnce(new DomainError("UNAVAILABLE"));
      onTestFinished(() => failing.mockRestore());
      const call = beginCounted({ strategyName: "google" });
      await expect(call).rejects.toMatchObject({ kind: "unavailable" });
      for (const bad of [{ strategyName: "other", callbackUrl: "https://evil.example" }, { email: "x" }]) {
        await expect(beginCounted(bad)).rejects.toMatchObject({ kind: "invalid_argument" });
      }
      expect(open).toEqual([]);
    });

    it("keeps a sign-in from beginning, and its strategy from being asked", async () => {
      const asked = vi.spyOn(google, "begin");
      onTestFinished(() => asked.mockRestore());
      const info = { ...newRequestInfo(), clientAddress: "192.0.2.99" };
      const call = beginCounted({ strategyName: "google", info });
      await expect(call).rejects.toMatchObject({ reason: "TOO_MANY_FLOWS", retryAfterSeconds: 7 });
      expect(asked).not.toHaveBeenCalled();
    });
  });

  describe("a provider's code", () => {
    const sentBefore = { ...expired, detail: "the code was sent before, in another flow" };

    it("is sent once, and is of no use in another flow of whatever provider", async () => {
      const proof = identity({ email: newEmail() });
      const [first, second, third] = [
        await beginAt("other", proof),
        await beginAt("google", proof),
        await beginAt("other", proof),
      ];
      const { code } = first;
      other.people.delete(code);
      await expect(finish({ ...first, code })).rejects.toMatchObject({ reason: "CODE_MISSING" });
      for (const flow of [second, third]) {
        await expect(finish({ ...flow, code }, there)).rejects.toMatchObject(sentBefore);
        // It was an answer, if not a good one.
        await expect(finish(flow)).rejects.toMatchObject(expired);
      }
      const rows = await under.database.reader.selectFrom("sent_codes").selectAll().execute();
      expect(JSON.stringify(rows)).not.toContain(code);
    });

    it("is known to every process before it leaves", async () => {
      const elsewhere = await under.openAnother();
      const flow = await beginAt("google", identity({ email: newEmail() }));
      const known: number[] = [];
      const finishAtGoogle = vi.spyOn(google, "finish").mockImplementationOnce(async () => {
        const rows = await elsewhere.reader
          .selectFrom("sent_codes")
          .where("code_hash", "=", hashSecret(flow.code))
          .selectAll()
          .execute();
        known.push(rows.length);
        throw new DomainError("UNAVAILABLE");
      });
      onTestFinished(() => finishAtGoogle.mockRestore());
      await expect(finish(flow)).rejects.toMatchObject({ kind: "unavailable" });
      expect(known).toEqual([1]);
    });

    it("is sent once, however many flows bring it at once to however many processes", async () => {
      const flows = await Promise.all(
        Array.from({ length: 20 }, () => beginAt("google", identity({ email: newEmail() }))),
      );
      const code = flows[0]?.code ?? "";
      const calls = flows.map((flow, index) => finish({ ...flow, code }, index % 2 ? here : there));
      const outcomes = await settle(calls);
      expect(outcomes.filter((outcome) => outcome !== "INVALID_FLOW")).toHaveLength(1);
    });

    it("is known for a day, and no longer than until then", async () => {
      const flow = await beginAt("google", identity({ email: newEmail() }));
      await finish(flow);
      const sweep = (atMs: number) =>
        under.database.transaction((tx) => deleteSentCodes(tx, new Date(atMs), 1000));
      await sweep(nowMs + 86_399_999);
      const again = await beginAt("google", identity({ email: newEmail() }));
      await expect(finish({ ...again, code: flow.code })).rejects.toMatchObject(sentBefore);
      expect(await sweep(nowMs + 86_400_000)).toBeGreaterThan(0);
      expect(await under.database.reader.selectFrom("sent_codes").selectAll().execute()).toEqual([]);
    });

    it("that is no provider's is nobody's to count", async () => {
      const [code, browsers] = ["the same", [newBrowser()]];
      const call = async () => {
        const { state } = await here.service.begin(
          toBegin({ strategyName: "passkey", browser: browsers[0] ?? "" }),
        );
        return finish({ state, browsers, code });
      };
      for (const _ of [1, 2]) await expect(call()).rejects.toMatchObject({ reason: "USER_NOT_FOUND" });
    });
  });

  describe("wrong codes (C3)", () => {
    const wrong = (flow: { state: string; browsers: string[] }, at = here, network = 1) => {
      const info = { ...newRequestInfo(), clientAddress: `198.51.100.${network}` };
      return finish({ ...flow, code: "wrong", info }, at);
    };

    it("end a flow at the third", async () => {
      const flow = await beginByMail(newEmail());
      for (const _ of [1, 2]) await expect(wrong(flow)).rejects.toMatchObject(badCode);
      const twice = await beginByMail(newEmail());
      for (const _ of [1, 2]) await expect(wrong(twice)).rejects.toMatchObject(badCode);
      await finish(twice);
      await expect(wrong(flow)).rejects.toMatchObject(badCode);
      await expect(finish(flow)).rejects.toMatchObject(expired);
    });

    it("end a flow at the third, raced", async () => {
      const flow = await beginByMail(newEmail());
      const guesses = Array.from({ length: 30 }, (_, index) => wrong(flow, index % 2 ? here : there));
      const outcomes = await settle(guesses);
      for (const outcome of outcomes) expect(outcome).toMatch(/^INVALID_(OTP|FLOW)$/);
      await expect(finish(flow)).rejects.toMatchObject(expired);
    });

    it("end a mailbox's codes at the tenth, right or wrong, for an hour, over all its flows", async () => {
      const email = newEmail();
      for (let flows = 0; flows < 3; flows++) {
        const flow = await beginByMail(email);
        for (const _ of [1, 2, 3]) await expect(wrong(flow, here, flows)).rejects.toMatchObject(badCode);
      }
      const last = await beginByMail(email);
      await expect(wrong(last)).rejects.toMatchObject(badCode);
      await expect(finish(last)).rejects.toMatchObject(badCode);
      const again = await beginByMail(email);
      await expect(finish(again)).rejects.toMatchObject(badCode);
      await expect(finish(again, there)).rejects.toMatchObject(badCode);
      await signInByMail(newEmail());
      const elsewhere = await beginAt("google", identity({ email: newEmail() }));
      await finish(elsewhere);
      nowMs += 3_600_000;
      await signInByMail(email);
    });

    it("end a mailbox's codes at the tenth, raced over many flows", async () => {
      const email = newEmail();
      const flows = [];
      for (let index = 0; index < 12; index++) flows.push(await beginByMail(email));
      const last = flows.at(-1);
      if (last === undefined) throw new Error("no flow");
      const judging = vi.spyOn(mail, "finish");
      onTestFinished(() => judging.mockRestore());
      await settle(
        flows.flatMap((flow, index) => [wrong(flow), wrong(flow, index % 2 ? here : there, index)]),
      );
      expect(judging).toHaveBeenCalledTimes(10);
      await expect(finish(last)).rejects.toMatchObject(badCode);
    });

    it("are not right ones, nor those that could not be judged", async () => {
      const email = newEmail();
      for (let times = 0; times < 12; times++) await signInByMail(email);
      const flow = await beginByMail(email);
      mail.failure = new DomainError("UNAVAILABLE");
      for (let times = 0; times < 12; times++) {
        await expect(finish(flow)).rejects.toMatchObject({ kind: "unavailable" });
      }
      mail.failure = undefined;
      await finish(flow);
    });

    it("cannot be guessed while they cannot be counted", async () => {
      const database = await under.openAnother();
      const alone = await openSignIn(database, { clock, strategies });
      const flow = await beginByMail(newEmail());
      await database.close();
      await expect(finish(flow, alone)).rejects.toThrow();
      await alone.close();
    });
  });

  describe("Authenticate", () => {
    it.each(["not an address", "a@b@c", "ada@example.org\r\nBcc: eve@example.org"])(
      "refuses %j",
      async (email) => {
        await expect(here.service.begin(toBegin({ email, browser: newBrowser() }))).rejects.toMatchObject({
          reason: "INVALID_EMAIL",
          message: "Invalid email",
        });
      },
    );

    it("refuses a strategy nobody configured", async () => {
      await expect(here.service.begin(toBegin({ strategyName: "smoke-signals" }))).rejects.toMatchObject({
        reason: "UNSUPPORTED_STRATEGY",
      });
    });

    it.each(openRedirects)("refuses to come back to %j", async (url) => {
      const browser = newBrowser();
      for (const target of [{ returnTo: url }, { callbackUrl: url }]) {
        const call = here.service.begin(toBegin({ strategyName: "google", browser, ...target }));
        await expect(call).rejects.toMatchObject({
          reason: "REDIRECT_NOT_ALLOWED",
          kind: "invalid_argument",
        });
      }
    });

    it("comes back to exactly what is configured", async () => {
      const browser = newBrowser();
      const flow = await here.service.begin(
        toBegin({
          email: newEmail(),
          browser,
          returnTo: "https://app.example.org/home",
          callbackUrl: appPage,
        }),
      );
      const kept = await here.flows.findLive(flow.state);
      expect(kept).toMatchObject({
        returnTo: "https://app.example.org/home",
        callbackUrl: appPage,
      });
      expect((await here.flows.findLive((await beginByMail(newEmail())).state))?.callbackUrl).toBe(appPage);
    });
  });

  describe("a session and its strategies", () => {
    const signedIn = async (email: string) => {
      const { cookie } = await signInByMail(email);
      return await here.parts.authenticator.authenticateCookie(cookie);
    };

    it("may register inside the session it began in, and makes none", async () => {
      const principal = await signedIn(newEmail());
      const browser = newBrowser();
      const begun = await here.service.begin(toBegin({ strategyName: "passkey", browser, principal }));
      expect(begun.stateOptions).toEqual({ type: "register" });
      expect(await finish({ state: begun.state, browsers: [browser], principal })).toEqual({
        returnTo: undefined,
      });
    });

    it("may not register once the session has changed", async () => {
      const principal = await signedIn(newEmail());
      const browser = newBrowser();
      const { state } = await here.service.begin(toBegin({ strategyName: "passkey", browser, principal }));
      const foreign = await signedIn(newEmail());
      // The strategy is told of no user, so it takes the answer for a sign-in, which proves nothing here.
      await expect(finish({ state, browsers: [browser], principal: foreign })).rejects.toMatchObject({
        reason: "USER_NOT_FOUND",
      });
    });

    it("is asked to sign in anew, and then begins no registration", async () => {
      const principal = await signedIn(newEmail());
      const asked = { strategyName: "passkey", browser: newBrowser(), principal, reauthenticate: true };
      expect((await here.service.begin(toBegin(asked))).stateOptions).toEqual({ type: "login" });
    });

    it("is not begun by a passkey that was removed before it was", async () => {
      const { userId } = (await signInByMail(newEmail())).session;
      const stored = { id: "k", userId, credentialId: userId, publicKey: new Uint8Array(1), counter: 0 };
      const passkey = {
        ...stored,
        transports: [],
        isSynced: false,
        isBackedUp: false,
        name: "p",
        createdAt: clock.now(),
      };
      const { database } = under;
      const browser = newBrowser();
      const flow = async () => {
        const { state } = await here.service.begin(toBegin({ strategyName: "passkey", browser }));
        return { state, code: userId, browsers: [browser] };
      };
      await database.transaction((tx) => insertPasskey(tx, passkey));
      expect((await finish(await flow())).begun?.session.userId).toBe(userId);
      const late = await flow();
      await database.transaction((tx) => deletePasskey(tx, "k", userId));
      await expect(finish(late)).rejects.toMatchObject({ reason: "INVALID_FLOW" });
    });

    it("is not begun with an access token", async () => {
      const principal = { ...(await signedIn(newEmail())), credentialKind: "access_token" } as const;
      const begun = await here.service.begin(
        toBegin({ strategyName: "passkey", browser: newBrowser(), principal }),
      );
      expect(begun.stateOptions).toEqual({ type: "login" });
    });
  });

  describe("identities (C8)", () => {
    const issuer = "https://google.example";

    async function signInAt(proof: Proof, strategyName = "google"): Promise<string> {
      const { begun } = await finish(await beginAt(strategyName, proof));
      return begun?.session.userId ?? "";
    }

    /** Brings an identity that has to prove its mailbox, and answers the second flow. */
    async function refusedAt(proof: Proof) {
      const flow = await beginAt("google", proof);
      const error = await finish(flow).then(
        () => undefined,
        (refusal: unknown) => refusal,
      );
      if (!(error instanceof DomainError)) throw new Error("it was not refused");
      await here.service.drain();
      const { state = "", email = "" } = error.metadata;
      return { error, flow: { state, code: mail.sent.get(email) ?? "", browsers: flow.browsers } };
    }

    it("is found by issuer and subject, whatever its address has become", async () => {
      const [email, later] = [newEmail(), newEmail()];
      const mine = identity({ email, subject: `s-${email}` });
      const userId = await signInAt(mine);
      const { session } = await signInByMail(later);
      expect(await signInAt({ ...mine, email: later, isAuthoritative: true } as Proof)).toBe(userId);
      expect(userId).not.toBe(session.userId);
      const reissued = identity({ email, issuer: "https://elsewhere.example", subject: `s-${email}` });
      expect((await refusedAt(reissued)).error.reason).toBe("LINK_REQUIRED");
    });

    it("joins at once where address and provider both can be relied on", async () => {
      const email = newEmail();
      const { session } = await signInByMail(email);
      const userId = await signInAt(identity({ email, isAuthoritative: true }));
      expect(userId).toBe(session.userId);
    });

    it.each([
      ["the provider is not authoritative", { isAuthoritative: false }],
      ["the provider has not verified it", { emailVerified: false, isAuthoritative: true }],
      ["neither", { emailVerified: false }],
    ])("asks for the mailbox where %s, then joins", async (_, given) => {
      const email = newEmail();
      const { session } = await signInByMail(email);
      const proof = identity({ email, ...given });
      const { error, flow } = await refusedAt(proof);
      expect(error).toMatchObject({ reason: "LINK_REQUIRED", kind: "failed_precondition" });
      expect(error.metadata).toEqual({ strategy_name: "mailotp", state: flow.state, email });
      await expect(finish({ ...flow, browsers: [newBrowser()] })).rejects.toMatchObject(badState);
      await expect(finish({ ...flow, code: "wrong" })).rejects.toMatchObject(badCode);
      expect((await finish(flow)).begun?.session.userId).toBe(session.userId);
      expect(await signInAt(proof)).toBe(session.userId);
    });

    it("asks for the mailbox where the local address was never proven, and closes what was open before", async () => {
      const email = newEmail();
      const squatter = identity({ email, issuer: "https://other.example" });
      const { begun } = await finish(await beginAt("other", squatter));
      const owner = identity({ email, isAuthoritative: true });
      const { error, flow } = await refusedAt(owner);
      expect(error.reason).toBe("LINK_REQUIRED");
      await finish(flow);
      const cookie = begun?.cookie ?? "";
      await expect(here.parts.authenticator.authenticateCookie(cookie)).rejects.toMatchObject({
        reason: "NOT_AUTHENTICATED",
      });
      expect((await refusedAt(squatter)).error.reason).toBe("LINK_REQUIRED");
      await signInAt(owner);
    });

    it("signs up with a verified address, proven if the provider is authoritative", async () => {
      for (const isAuthoritative of [true, false]) {
        const email = newEmail();
        const id = await signInAt(identity({ email, isAuthoritative, title: "Ada" }));
        const user = await under.database.reader
          .selectFrom("users")
          .selectAll()
          .where("id", "=", id)
          .executeTakeFirstOrThrow();
        expect(user).toMatchObject({ email, title: "Ada", email_proven: isAuthoritative ? 1 : 0 });
        expect(Buffer.from(user.passkey_handle, "base64url")).toHaveLength(32);
      }
    });

    it("signs up with an unverified address only by its mailbox", async () => {
      const email = newEmail();
      const proof = identity({ email, emailVerified: false });
      const { error, flow } = await refusedAt(proof);
      expect(error.reason).toBe("LINK_REQUIRED");
      const { begun } = await finish(flow);
      expect(await signInAt(proof)).toBe(begun?.session.userId);
    });

    it("tells nothing of an address that neither side has proven, before its mailbox is", async () => {
      const closed = await openSignIn(under.database, {
        clock,
        strategies,
        signup: { mode: "domains", domains: ["allowed.example"], byMembers: false },
      });
      const [gone, unknown] = [newEmail(), newEmail()];
      const { session } = await signInByMail(gone);
      await under.database.transaction((tx) => updateUserState(tx, session.userId, "disabled", clock.now()));
      const refusals = [];
      for (const email of [gone, unknown]) {
        const flow = await beginAt("google", identity({ email, emailVerified: false }));
        const error = await finish(flow, closed).catch((refusal: DomainError) => refusal);
        if (!(error instanceof DomainError)) throw new Error("it was not refused");
        await closed.service.drain();
        const { state = "" } = error.metadata;
        const answer = { state, code: mail.sent.get(email) ?? "", browsers: flow.browsers };
        refusals.push([error.reason, ...(await settle([finish(answer, closed)]))]);
      }
      expect(refusals).toEqual([
        ["LINK_REQUIRED", "PRINCIPAL_DISABLED"],
        ["LINK_REQUIRED", "SIGNUP_CLOSED"],
      ]);
      await closed.close();
    });

    it("does not sign up without an address", async () => {
      await expect(signInAt(identity({}))).rejects.toMatchObject({
        reason: "EMAIL_REQUIRED",
        kind: "failed_precondition",
      });
    });

    it("is one account of two first sign-ins that race", async () => {
      const proof = identity({ email: newEmail(), issuer });
      const flows = [await beginAt("google", proof), await beginAt("google", proof)];
      const users = await settle(flows.map((flow, index) => finish(flow, index ? here : there)));
      expect(new Set(users).size).toBe(1);
      expect(users[0]).toHaveLength(36);
    });

    // Only there do two transactions run at once, and one may commit between two looks of another.
    it("finds the account that the same identity makes between two looks", async () => {
      if (under.dialect !== "postgres") return;
      const email = newEmail();
      const subject = `s-${email}`;
      const flow = await beginAt("google", identity({ email, subject, issuer }));
      const createdAt = clock.now();
      const user: User = {
        id: newId(createdAt),
        name: `ada-${subject}`,
        title: "",
        email,
        emailProven: false,
        metadata: {},
        avatar: "",
        state: "enabled",
        createdAt,
        updatedAt: createdAt,
      };
      let finishing: Promise<string[]> | undefined;
      await under.database.transaction(async (tx) => {
        await sql`lock table users in access exclusive mode`.execute(tx);
        await insertUser(tx, user);
        await insertIdentity(tx, {
          issuer,
          subject,
          userId: user.id,
          strategy: "google",
          email,
          gaveEmail: false,
          createdAt,
        });
        finishing = settle([finish(flow, there)]);
        await eventually(async () => {
          const waiting = await sql`select 1 from pg_locks
            where not granted and relation = ${"users"}::regclass`.execute(under.database.reader);
          expect(waiting.rows).not.toEqual([]);
        });
      });
      expect(await finishing).toEqual([user.id]);
    });
  });

  describe("an account whose address was never proven", () => {
    /** Somebody comes by a provider that is not authoritative, and is a member of two organizations. */
    async function openTrojan() {
      const email = newEmail();
      const proof = identity({ email });
      const { begun } = await finish(await beginAt("google", proof));
      if (begun === undefined) throw new Error("no session");
      const { userId } = begun.session;
      const [trojan = "", shared = ""] = [newId(clock.now()), newId(clock.now())].toSorted();
      const owner = (await signInByMail(newEmail())).session.userId;
      await under.database.transaction(async (tx) => {
        const now = clock.now();
        for (const id of [trojan, shared]) {
          const base = { title: "", metadata: {}, avatar: "", state: "enabled" } as const;
          await insertOrganization(tx, { ...base, id, name: `o${id}`, createdAt: now, updatedAt: now });
          await insertMember(tx, { orgId: id, userId, role: "owner" }, now);
        }
        await insertMember(tx, { orgId: shared, userId: owner, role: "owner" }, now);
        await insertPasskey(tx, { ...newPasskey(userId), createdAt: now });
        const profile = {
          title: "Mallory",
          avatar: "https://example.org/m.png",
          metadata: '{"team":"core"}',
        };
        await tx.updateTable("users").set(profile).where("id", "=", userId).execute();
        const choice = {
          id: newId(now),
          userId,
          name: "theme",
          value: "dark",
          createdAt: now,
          updatedAt: now,
        };
        await savePreference(tx, choice);
        const frontdoor = { id: newId(now), orgId: shared, name: shared, createdAt: now, updatedAt: now };
        await insertFrontdoor(tx, frontdoor);
        await confirm(tx, { userId, frontdoorId: frontdoor.id }, now);
      });
      return { email, proof, begun, userId, trojan, shared };
    }

    const newPasskey = (userId: string) => ({
      id: newId(clock.now()),
      userId,
      credentialId: randomBytes(16).toString("hex"),
      publicKey: new Uint8Array(1),
      counter: 0,
      transports: [],
      isSynced: false,
      isBackedUp: false,
      name: "p",
    });

    /** What is left of an account. */
    async function lookAt({ userId, trojan, shared }: { userId: string; trojan: string; shared: string }) {
      const { reader } = under.database;
      // Every table that has something of somebody, one of tomorrow included, but for what is there since the proof alone.
      const counts: Record<string, number> = {};
      for (const { name, columns } of await readTableShapes(reader)) {
        if (name === "known_browsers" || !columns.some((column) => column.name === "user_id")) continue;
        const table = name as "sessions";
        const rows = await reader.selectFrom(table).select("user_id").where("user_id", "=", userId).execute();
        if (rows.length > 0) counts[name] = rows.length;
      }
      const states = await reader.selectFrom("organizations").select(["id", "state"]).execute();
      const user = await findUser(reader, userId);
      return {
        proven: user?.emailProven,
        profile: [user?.title, user?.avatar, user?.metadata],
        ...counts,
        trojan: states.find(({ id }) => id === trojan)?.state,
        shared: states.find(({ id }) => id === shared)?.state,
      };
    }

    const emptied = {
      proven: true,
      profile: ["", "", {}],
      sessions: 1,
      trojan: "disabled",
      shared: "enabled",
    };
    const whole = {
      proven: true,
      profile: ["Mallory", "https://example.org/m.png", { team: "core" }],
      identities: 1,
      passkeys: 1,
      memberships: 2,
      user_preferences: 1,
      gate_confirmations: 1,
      trojan: "enabled",
      shared: "enabled",
    };

    it("takes no door from the operator with it: the default organization stays, and what was shut is no news", async () => {
      const { email, userId, trojan } = await openTrojan();
      const { id } = await under.database.transaction(async (tx) => {
        await updateOrganizationState(tx, trojan, "disabled", clock.now());
        const found = await findOrganization(tx, "default");
        const base = { title: "", metadata: {}, avatar: "", state: "enabled" } as const;
        const made = {
          ...base,
          id: newId(clock.now()),
          name: "default",
          createdAt: clock.now(),
          updatedAt: clock.now(),
        };
        if (found === undefined) await insertOrganization(tx, made);
        const organization = found ?? made;
        await insertMember(tx, { orgId: organization.id, userId, role: "owner" }, clock.now());
        return organization;
      });
      here.takeOvers.length = 0;
      await signInByMail(email);
      expect(here.takeOvers).toMatchObject([{ organizations: 3, disabled: [] }]);
      expect((await findOrganization(under.database.reader, id))?.state).toBe("enabled");
    });

    it("is taken over by a proof from outside: nothing is left of what was there, and it is told", async () => {
      const trojan = await openTrojan();
      here.takeOvers.length = 0;
      here.parts.events.length = 0;
      const { session, cookie } = await signInByMail(trojan.email);
      expect(session.userId).toBe(trojan.userId);
      expect(await lookAt(trojan)).toEqual(emptied);
      await expect(here.parts.authenticator.authenticateCookie(trojan.begun.cookie)).rejects.toMatchObject({
        reason: "NOT_AUTHENTICATED",
      });
      expect(await here.parts.authenticator.authenticateCookie(cookie)).toMatchObject({ emailProven: true });
      expect(here.takeOvers).toMatchObject([
        {
          email: trojan.email,
          strategies: ["google"],
          passkeys: 1,
          organizations: 2,
          disabled: [{ id: trojan.trojan, state: "disabled" }],
        },
      ]);
      expect(here.parts.events.map(({ action, orgId }) => [action, orgId])).toEqual([
        ["user.take_over", undefined],
        ["member.remove", trojan.trojan],
        ["member.remove", trojan.shared],
        ["organization.disable", trojan.trojan],
        ["session.create", undefined],
      ]);
      // It is proven now: another proof takes nothing.
      await signInByMail(trojan.email);
      expect(await lookAt(trojan)).toMatchObject({ sessions: 2 });
      expect(here.takeOvers).toHaveLength(1);
    });

    it("stays as it is when the proof begins and ends in its own session", async () => {
      const trojan = await openTrojan();
      here.takeOvers.length = 0;
      const principal = await here.parts.authenticator.authenticateCookie(trojan.begun.cookie);
      expect(principal).toMatchObject({ emailProven: false });
      const browser = newBrowser();
      const begin = async (given = {}) => {
        const asked = { email: trojan.email, browser, principal, ...given };
        const { state } = await here.service.begin(toBegin(asked));
        await here.service.drain();
        return { state, code: mail.sent.get(trojan.email) ?? "", browsers: [browser] };
      };
      await finish({ ...(await begin()), principal });
      expect(await lookAt(trojan)).toMatchObject({ ...whole, sessions: 2 });
      expect(here.takeOvers).toEqual([]);
      expect(await here.parts.authenticator.authenticateCookie(trojan.begun.cookie)).toMatchObject({
        emailProven: true,
      });
    });

    it.each([
      ["began elsewhere", { principal: undefined }, {}],
      ["ended elsewhere", {}, { principal: undefined }],
      ["was to be anew, whoever is signed in", { reauthenticate: true }, {}],
    ])("is taken over by a proof that %s", async (_, begunBy, endedBy) => {
      const trojan = await openTrojan();
      const principal = await here.parts.authenticator.authenticateCookie(trojan.begun.cookie);
      const browser = newBrowser();
      const asked = { email: trojan.email, browser, principal, ...begunBy };
      const { state } = await here.service.begin(toBegin(asked));
      await here.service.drain();
      const code = mail.sent.get(trojan.email) ?? "";
      await finish({ state, code, browsers: [browser], principal, ...endedBy });
      expect(await lookAt(trojan)).toEqual(emptied);
    });

    it("is taken over by a proof in another person's session", async () => {
      const trojan = await openTrojan();
      const { cookie } = await signInByMail(newEmail());
      const principal = await here.parts.authenticator.authenticateCookie(cookie);
      const browser = newBrowser();
      const { state } = await here.service.begin(toBegin({ email: trojan.email, browser, principal }));
      await here.service.drain();
      const code = mail.sent.get(trojan.email) ?? "";
      await finish({ state, code, browsers: [browser], principal });
      expect(await lookAt(trojan)).toEqual(emptied);
    });

    it("keeps what it has when an identity's mailbox is proven in its session, and gets the identity", async () => {
      const trojan = await openTrojan();
      const principal = await here.parts.authenticator.authenticateCookie(trojan.begun.cookie);
      const second = identity({ email: trojan.email, isAuthoritative: true });
      const code = randomBytes(8).toString("hex");
      google.people.set(code, second);
      const browser = newBrowser();
      const begun = await here.service.begin(toBegin({ strategyName: "google", browser, principal }));
      const inside = { browsers: [browser], principal };
      const refused = await finish({ state: begun.state, code, ...inside }).catch((error: unknown) => error);
      expect(refused).toMatchObject({ reason: "LINK_REQUIRED" });
      await here.service.drain();
      const { state = "" } = (refused as DomainError).metadata;
      await finish({ state, code: mail.sent.get(trojan.email) ?? "", ...inside });
      expect(await lookAt(trojan)).toMatchObject({ ...whole, identities: 2 });
    });

    it("is asked about first, where that is wished for: nothing is done, and the code is good once more", async () => {
      const trojan = await openTrojan();
      const flow = await beginByMail(trojan.email);
      for (let times = 0; times < 12; times++) {
        expect(await finish({ ...flow, asksBeforeTakeOver: true })).toEqual({
          waysToKeep: ["google", "passkey"],
          returnTo: undefined,
        });
      }
      await expect(finish({ ...flow, code: "wrong", asksBeforeTakeOver: true })).rejects.toMatchObject(
        badCode,
      );
      expect(await lookAt(trojan)).toMatchObject({ ...whole, proven: false });
      await finish(flow);
      expect(await lookAt(trojan)).toEqual(emptied);
      // Nobody is asked about an account that is proven, or that is not there.
      for (const email of [trojan.email, newEmail()]) {
        const { begun } = await finish({ ...(await beginByMail(email)), asksBeforeTakeOver: true });
        expect(begun).toBeDefined();
      }
    });

    it("is taken over once by two proofs at once", async () => {
      const trojan = await openTrojan();
      for (const each of [here, there]) each.takeOvers.length = 0;
      const flows = [];
      // The fake keeps the newest code alone.
      for (const _ of [1, 2]) flows.push(await beginByMail(trojan.email));
      const outcomes = await raceForUser(
        under,
        trojan.userId,
        flows.map((flow, index) => () => finish(flow, index ? here : there)),
      );
      expect(outcomes).toMatchObject([1, 2].map(() => ({ status: "fulfilled" })));
      expect([...here.takeOvers, ...there.takeOvers]).toHaveLength(1);
      // Both sessions are of whoever has the mailbox.
      expect(await lookAt(trojan)).toEqual({ ...emptied, sessions: 2 });
    });

    it("stays as it is when the proof in its session is first, and is taken over when it is second", async () => {
      for (const isFirst of [true, false]) {
        const trojan = await openTrojan();
        const principal = await here.parts.authenticator.authenticateCookie(trojan.begun.cookie);
        const browser = newBrowser();
        const { state } = await here.service.begin(toBegin({ email: trojan.email, browser, principal }));
        await here.service.drain();
        const own = { state, code: mail.sent.get(trojan.email) ?? "", browsers: [browser], principal };
        const outside = await beginByMail(trojan.email);
        const starts = [() => finish(own), () => finish(outside, there)];
        const outcomes = await raceForUser(under, trojan.userId, isFirst ? starts : starts.toReversed());
        expect(outcomes).toMatchObject([1, 2].map(() => ({ status: "fulfilled" })));
        // On SQLite either may be first, whichever was started before.
        const left = await lookAt(trojan);
        const isKept = under.dialect === "postgres" ? isFirst : "identities" in left;
        expect(left).toEqual(isKept ? { ...whole, sessions: 3 } : { ...emptied, sessions: 2 });
      }
    });

    it("does not let in again whoever opened it, by an identity that goes with the take-over", async () => {
      const trojan = await openTrojan();
      const [flow, late] = [await beginByMail(trojan.email), await beginAt("google", trojan.proof)];
      const outcomes = await raceForUser(under, trojan.userId, [
        () => finish(flow, there),
        () => finish(late),
      ]);
      const refused = { status: "rejected", reason: { reason: "LINK_REQUIRED" } };
      expect(outcomes).toMatchObject([{ status: "fulfilled" }, refused]);
      expect(await lookAt(trojan)).toEqual(emptied);
    });

    it("takes no passkey from a session that ends with the take-over", async () => {
      const passkeys = new PasskeyService({
        database: under.database,
        audit: here.parts.audit,
        clock,
        holdSession,
        hasOtherWayIn: async () => true,
        requireRemovable: async () => {},
        notify: () => {},
      });
      const trojan = await openTrojan();
      const principal = await here.parts.authenticator.authenticateCookie(trojan.begun.cookie);
      const caller = { principal, request: toFinish({}).info };
      const flow = await beginByMail(trojan.email);
      const outcomes = await raceForUser(under, trojan.userId, [
        () => finish(flow, there),
        () => passkeys.add(caller, newPasskey(trojan.userId)),
      ]);
      // On SQLite the passkey may come first, and then goes with the others.
      if (under.dialect === "postgres")
        expect(outcomes).toMatchObject([{ status: "fulfilled" }, { reason: expired }]);
      expect(await lookAt(trojan)).toEqual(emptied);
    });
  });

  describe("sign-up", () => {
    it.each(["domains", "invited"] as const)(
      "in mode %s is by an address that was proven, not by the word of any provider",
      async (mode) => {
        const domain = `${mode}-${under.dialect}.example`;
        const closed = await openSignIn(under.database, {
          clock,
          strategies,
          signup: { mode, domains: mode === "domains" ? [domain] : [], byMembers: false },
          adminEmails: [`boss@${domain}`],
        });
        const people = ["ada", "bea", "boss"].map((name) => `${name}@${domain}`);
        await under.database.transaction(async (tx) => {
          for (const email of people)
            await tx.insertInto("invitations").values({ email, created_at: 0 }).execute();
        });
        const provenOf = async (userId = "") => {
          const user = await under.database.reader
            .selectFrom("users")
            .selectAll()
            .where("id", "=", userId)
            .execute();
          return user.map(({ email, email_proven }) => [email, email_proven]);
        };
        const [ada = "", bea = "", boss = ""] = people;
        // Whose domain it is, knows who has which address there.
        const sure = await finish(
          await beginAt("google", identity({ email: ada, isAuthoritative: true })),
          closed,
        );
        expect(await provenOf(sure.begun?.session.userId)).toEqual([[ada, 1]]);
        for (const email of [bea, boss, `mallory@elsewhere.example`]) {
          const flow = await beginAt("google", identity({ email }));
          const error = await finish(flow, closed).catch((refusal: unknown) => refusal);
          expect(error).toMatchObject({ reason: "LINK_REQUIRED", metadata: { email } });
          await closed.service.drain();
          const { state = "" } = (error as DomainError).metadata;
          const byCode = finish({ state, code: mail.sent.get(email) ?? "", browsers: flow.browsers }, closed);
          if (email.includes("elsewhere")) {
            await expect(byCode).rejects.toMatchObject({ reason: "SIGNUP_CLOSED" });
          } else {
            expect(await provenOf((await byCode).begun?.session.userId)).toEqual([[email, 1]]);
          }
        }
        await closed.close();
      },
    );

    it.each([
      ["domains", "ada@allowed.example", true],
      ["domains", "ada@sub.allowed.example", false],
      ["domains", "ada@other.example", false],
      ["domains", "boss@other.example", true],
      ["invited", "ada@allowed.example", false],
      ["invited", "guest@other.example", true],
      ["invited", "boss@other.example", true],
    ] as const)("in mode %s for %s: %s", async (mode, email, isOpen) => {
      const closed = await openSignIn(under.database, {
        clock,
        strategies,
        signup: { mode, domains: mode === "domains" ? ["allowed.example"] : [], byMembers: false },
        adminEmails: ["boss@other.example"],
      });
      await under.database.transaction(async (tx) => {
        await tx.deleteFrom("users").where("email", "=", email).execute();
        await tx
          .insertInto("invitations")
          .values({ email: "guest@other.example", created_at: 0 })
          .onConflict((conflict) => conflict.doNothing())
          .execute();
      });
      const flow = await beginByMail(email);
      if (isOpen) expect((await finish(flow, closed)).begun).toBeDefined();
      else
        await expect(finish(flow, closed)).rejects.toMatchObject({
          reason: "SIGNUP_CLOSED",
          kind: "permission_denied",
        });
      await expect(finish(flow, closed)).rejects.toMatchObject(expired);
      await closed.close();
    });
  });
});
