/** People's own accounts over a database, put together as the server does it. For tests only. */
import { randomBytes } from "node:crypto";
import { AnswerVerifier } from "../auth/answer-verifier.ts";
import { FlowMails } from "../auth/flow-mails.ts";
import { deleteFlowsOf } from "../auth/flow-store.ts";
import { Flows } from "../auth/flows.ts";
import { SignInMail } from "../auth/sign-in-mail.ts";
import { createMailOtpStrategy } from "../auth/strategies/mail-otp.ts";
import {
  createFakeMail,
  createFakeProvider,
  type FakeMail,
  type FakeProvider,
  openSignIn,
  type SignInParts,
  testBrowsers,
  toBegin,
  toFinish,
} from "../auth/test-support.ts";
import type { OpenDatabase } from "../db/kysely-database.ts";
import { createSealer } from "../encryption/sealer.ts";
import type { Clock } from "../lib/clock.ts";
import { silentLog } from "../lib/log.ts";
import type { MailMessage } from "../mail/message.ts";
import { deletePasskeys } from "../passkeys/store.ts";
import type { Caller, UserPrincipal } from "../principals/principal.ts";
import { toBegunCookies } from "../sessions/begun-cookies.ts";
import type { BegunSession } from "../sessions/service.ts";
import { findLiveSession, holdSession } from "../sessions/store.ts";
import { deviceHeaders, newRequestInfo } from "../sessions/test-support.ts";
import { Accounts } from "../users/accounts.ts";
import { deleteIdentities } from "../users/identity-store.ts";
import { AccountDeletion } from "./deletion.ts";
import { EmailChange } from "./email-change.ts";
import { emailChangeFlows } from "./email-change-flow.ts";
import { EmailUndo } from "./email-undo.ts";
import { emailChangeTemplate } from "./notices.ts";

/** Somebody signed in, in a browser of theirs. */
export interface SignedIn {
  readonly caller: Caller & { readonly principal: UserPrincipal };
  readonly header: Headers;
  readonly id: string;
}

/** What a test works with. */
export interface AccountParts {
  readonly signIn: SignInParts;
  readonly mail: FakeMail;
  readonly provider: FakeProvider;
  readonly emailChange: EmailChange;
  readonly emailUndo: EmailUndo;
  readonly deletion: AccountDeletion;
  /** Mails of changes, in the order they went out. */
  readonly mails: MailMessage[];
  /** Resolves once no mail of a change is on its way. */
  drain(): Promise<void>;
  /** Signs somebody in by a mailed code. */
  signInByMail(email: string): Promise<SignedIn>;
  /** What a session that has just begun is presented by, with the browser of another header. */
  present(
    begun: { readonly setCookies: readonly string[] } | BegunSession,
    header?: Headers,
  ): Promise<SignedIn>;
  close(): Promise<void>;
}

const sealKey = randomBytes(32);

/** A browser that nothing knows yet. */
export function newBrowserHeader(): Headers {
  return new Headers({ cookie: `__Host-vestibule_browser=${randomBytes(32).toString("base64url")}` });
}

/** Puts everything together. */
export async function openAccounts(
  database: OpenDatabase,
  { clock, adminEmails = [] }: { readonly clock: Clock; readonly adminEmails?: readonly string[] },
): Promise<AccountParts> {
  const mail = createFakeMail();
  const provider = createFakeProvider("google");
  const signIn = await openSignIn(database, { clock, adminEmails, strategies: [mail, provider] });
  const { parts, limits } = signIn;
  const { feed, audit, knownBrowsers, sessions, cookies, authenticator } = parts;
  const mails: MailMessage[] = [];
  const mailer = {
    isAvailable: () => true,
    findRefusal: () => undefined,
    send: async (sent: MailMessage) => void mails.push(sent),
  };
  const flows = new Flows({ database, sealer: createSealer([sealKey]), clock }, emailChangeFlows);
  const ground = { database, feed, audit, clock, knownBrowsers, log: silentLog };
  const flowMails = new FlowMails({
    mail: new SignInMail({ ...ground, mailer, mailboxLimits: limits }),
    flows,
    log: silentLog,
  });
  const site = { siteName: "Example", notify: (sent: MailMessage) => void mails.push(sent) };
  const emailChange = new EmailChange({
    ...ground,
    ...site,
    flows,
    flowLimits: { take: (key) => ({ key, at: clock.now() }), giveBack: () => {} },
    codes: createMailOtpStrategy({
      mailer,
      siteName: "Example",
      template: emailChangeTemplate,
      validitySeconds: 600,
    }),
    verifier: new AnswerVerifier({ ...ground, flows, guesses: limits, wrongCodesPerFlow: 3 }),
    mails: flowMails,
    endFlows: deleteFlowsOf,
    accounts: new Accounts({
      signup: { mode: "open", domains: [], byMembers: false },
      adminEmails,
      clock,
      endFlows: deleteFlowsOf,
      endSessions: (tx, userId) => sessions.endAll(tx, userId),
      forgetPasskeys: deletePasskeys,
      forgetConfirmations: async () => {},
      hasPasskey: async () => false,
    }),
    sessions,
    holdSession,
    findSession: (id) => findLiveSession(database.reader, id),
    browsers: testBrowsers,
    deviceHeaders,
    toSessionCookies: (begun) => toBegunCookies(begun, { cookies, knownBrowsers }),
    undoUrl: "https://id.example.org/email-change/undo",
  });
  const emailUndo = new EmailUndo({
    ...ground,
    ...site,
    endFlows: deleteFlowsOf,
    withdraw: {
      sessions: async (tx, userId) => {
        const changes = await sessions.endAll(tx, userId);
        return { count: changes.length, changes };
      },
      pats: async () => ({ count: 2 }),
      passkeys: async (tx, userId, since) => ({ count: await deletePasskeys(tx, userId, since) }),
      identities: async (tx, userId, since) => ({ count: await deleteIdentities(tx, userId, since) }),
    },
  });

  const deletion = new AccountDeletion({
    ...ground,
    ...site,
    endFlows: deleteFlowsOf,
    strikeOut: async () => {},
    holdSession,
    findSession: (id) => findLiveSession(database.reader, id),
  });

  const present: AccountParts["present"] = async (begun, header = newBrowserHeader()) => {
    const cookie =
      "cookie" in begun
        ? begun.cookie
        : (begun.setCookies.map((line) => /^(?:__Host-)?sid=([^;]+)/.exec(line)?.[1]).find(Boolean) ?? "");
    const principal = await authenticator.authenticateCookie(cookie);
    return { caller: { principal, request: newRequestInfo() }, header, id: principal.id };
  };

  return {
    signIn,
    mail,
    provider,
    emailChange,
    emailUndo,
    deletion,
    mails,
    drain: () => flowMails.drain(),
    present,
    async signInByMail(email) {
      const browser = randomBytes(32).toString("base64url");
      const { state } = await signIn.service.begin(toBegin({ email, browser }));
      await signIn.service.drain();
      const code = mail.sent.get(email) ?? "";
      const { begun } = await signIn.service.finish(toFinish({ state, code, browsers: [browser] }));
      if (begun === undefined) throw new Error("no session");
      return await present(begun);
    },
    close: () => signIn.close(),
  };
}
