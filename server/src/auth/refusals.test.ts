/** What is recorded of sign-ins that came to nothing says whom it was about (case T6). */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { describeDatabases } from "../../../test/parts/databases.ts";
import { DomainError } from "../lib/errors.ts";
import type { Rate } from "../limits/rates.ts";
import { addUser, newRequestInfo } from "../sessions/test-support.ts";
import {
  createFakeMail,
  createFakeProvider,
  openSignIn,
  type SignInParts,
  toBegin,
  toFinish,
} from "./test-support.ts";

let nowMs = Date.now();
const clock = { now: () => new Date(nowMs) };
const newBrowser = () => randomBytes(32).toString("base64url");

describeDatabases("a refused sign-in", (under) => {
  const mail = createFakeMail();
  const google = createFakeProvider("google");
  let isFull = false;
  const flowLimits: Rate = {
    take: (key) => {
      if (isFull) throw new DomainError("TOO_MANY_FLOWS");
      return { key, at: new Date(0) };
    },
    giveBack: () => {},
  };
  let signIn: SignInParts;
  beforeAll(async () => {
    const signup = { mode: "domains", domains: ["example.com"], byMembers: false } as const;
    const strategies = [mail, google];
    signIn = await openSignIn(under.database, { clock, strategies, signup, flowLimits, mailsPerMailbox: 5 });
  });
  afterAll(() => signIn.close());
  beforeEach(() => {
    isFull = false;
    signIn.parts.events.splice(0);
  });

  let count = 0;
  const newEmail = () => `carl-${count++}-${under.dialect}@example.org`;
  const refused = (action: string) => signIn.parts.events.filter((event) => event.action === action);

  async function begin(email: string, strategyName = "mailotp", browser = newBrowser()) {
    const { state } = await signIn.service.begin(toBegin({ email, strategyName, browser }));
    await signIn.service.drain();
    return { state, browsers: [browser], strategyName };
  }
  const finish = (given: Parameters<typeof toFinish>[0]) => signIn.service.finish(toFinish(given));

  it("by a wrong code names the mailbox, whether or not it has an account", async () => {
    for (const email of [(await addUser(under.database, { email: newEmail() })).email, newEmail()]) {
      const flow = await begin(email);
      await expect(finish({ ...flow, code: "wrong" })).rejects.toMatchObject({ reason: "INVALID_OTP" });
      expect(refused("sign_in.refuse").at(-1)).toEqual({
        action: "sign_in.refuse",
        reason: "INVALID_OTP",
        mailbox: email,
        details: { strategy: "mailotp" },
      });
    }
  });

  it("in another browser, or of an address that may not sign up, names the mailbox", async () => {
    const email = newEmail();
    const flow = await begin(email);
    await expect(finish({ ...flow, browsers: [newBrowser()] })).rejects.toThrow();
    const code = mail.sent.get(email) ?? "";
    await expect(finish({ ...flow, code })).rejects.toMatchObject({ reason: "SIGNUP_CLOSED" });
    expect(refused("sign_in.refuse")).toMatchObject([
      { reason: "INVALID_AUTH_STATE", mailbox: email },
      { reason: "SIGNUP_CLOSED", mailbox: email },
    ]);
  });

  it("that came too late names the mailbox for an hour, as it is answered and as its page is opened", async () => {
    const email = newEmail();
    const flow = await begin(email);
    const late = { reason: "INVALID_FLOW" };
    nowMs += 600_000;
    await expect(finish({ ...flow, code: mail.sent.get(email) ?? "" })).rejects.toMatchObject(late);
    const { browsers, state } = flow;
    await expect(signIn.service.peek(state, { browsers, info: newRequestInfo() })).rejects.toMatchObject(
      late,
    );
    const recorded = {
      reason: "INVALID_FLOW",
      mailbox: email,
      detail: expect.stringMatching(/^the time was up at 2/),
    };
    expect(refused("sign_in.refuse")).toMatchObject([recorded, recorded]);
    const unknown = signIn.service.peek("unknown", { browsers, info: newRequestInfo() });
    await expect(unknown).rejects.toMatchObject(late);
    expect(refused("sign_in.refuse")).toHaveLength(2);
  });

  it("by a provider's answer names the address that the provider gave", async () => {
    const email = newEmail();
    google.people.set("g", {
      kind: "identity",
      issuer: "https://google.example",
      subject: newBrowser(),
      email,
      emailVerified: true,
      isAuthoritative: false,
    });
    const flow = await begin("", "google");
    const answer = finish({ ...flow, code: "g" });
    await expect(answer).rejects.toMatchObject({ reason: "LINK_REQUIRED" });
    expect(refused("sign_in.refuse")).toMatchObject([
      { reason: "LINK_REQUIRED", mailbox: email, details: { strategy: "google" } },
    ]);
  });

  it("at the provider names the address that was asked for, and what the provider answered", async () => {
    const email = newEmail();
    const { state, browsers } = await begin(email, "google");
    const asked = { browsers, info: newRequestInfo() };
    const route = "https://app.example.org/callback";
    const answer = { route, error: "access_denied", description: "The person\nsaid no." };
    await signIn.service.abandon(state, { ...asked, browsers: [newBrowser()] }, answer);
    expect(refused("sign_in.refuse")).toEqual([]);
    await signIn.service.abandon(state, asked, answer);
    await signIn.service.abandon(state, asked, answer);
    expect(refused("sign_in.refuse")).toEqual([
      {
        action: "sign_in.refuse",
        reason: "PROVIDER_DENIED",
        detail: "google: authorization_endpoint answered access_denied (The person said no.)",
        mailbox: email,
        details: {
          strategy: "google",
          cause: "refused",
          at: "authorization_endpoint",
          error: "access_denied",
          description: "The person said no.",
        },
      },
    ]);
  });

  it("by the provider, not the person, is told to the person and to who runs the server", async () => {
    const { state, browsers } = await begin("", "google");
    const route = "https://app.example.org/callback";
    const answer = { route, error: "unauthorized_client", description: `not for ${state}` };
    await expect(
      signIn.service.abandon(state, { browsers, info: newRequestInfo() }, answer),
    ).rejects.toMatchObject({ reason: "PROVIDER_REFUSED", metadata: { provider: "google" } });
    expect(refused("sign_in.refuse")).toMatchObject([
      { reason: "PROVIDER_REFUSED", details: { error: "unauthorized_client", description: "not for …" } },
    ]);
  });

  it("before it began names the mailbox that was asked for", async () => {
    const email = newEmail();
    isFull = true;
    await expect(begin(email)).rejects.toMatchObject({ reason: "TOO_MANY_FLOWS" });
    expect(refused("sign_in.refuse")).toMatchObject([{ reason: "TOO_MANY_FLOWS", mailbox: email }]);
  });

  it("for want of a mail that was withheld is no secret to who runs the server (T5)", async () => {
    const email = newEmail();
    for (let mails = 0; mails < 3; mails++) await begin(email);
    expect(refused("mail.withhold")).toEqual([]);
    mail.sent.delete(email);
    await begin(email);
    expect(mail.sent.has(email)).toBe(false);
    expect(refused("mail.withhold")).toEqual([
      {
        action: "mail.withhold",
        reason: "TOO_MANY_MAILS",
        mailbox: email,
        details: { strategy: "mailotp", limit: "network_mails" },
      },
    ]);
  });

  it("is followed by one that was not, which names the mailbox too", async () => {
    const { email } = await addUser(under.database, { email: newEmail() });
    await finish({ ...(await begin(email)), code: mail.sent.get(email) ?? "" });
    expect(refused("session.create")).toMatchObject([{ mailbox: email }]);
  });
});
