/** Sign-in over a database with strategies that do what a test tells them. For tests only. */
import { randomBytes } from "node:crypto";
import type { SignupConfig } from "../config/config.ts";
import type { OpenDatabase } from "../db/kysely-database.ts";
import { createSealer } from "../encryption/sealer.ts";
import { forgetConfirmations } from "../gate/sessions/of-people.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { silentLog } from "../lib/log.ts";
import { MailboxLimits } from "../limits/mailbox-limits.ts";
import type { Rate } from "../limits/rates.ts";
import type { Mailer } from "../mail/mailer.ts";
import { deletePasskeys, findPasskeys, holdPasskey } from "../passkeys/store.ts";
import { findLiveSession } from "../sessions/store.ts";
import {
  deviceHeaders,
  newRequestInfo,
  openSessions,
  type SessionParts,
  unknownDevice,
} from "../sessions/test-support.ts";
import { Accounts } from "../users/accounts.ts";
import type { TakeOver } from "../users/take-over.ts";
import { AnswerVerifier } from "./answer-verifier.ts";
import { BrowserSignIn, createBrowsers } from "./browser-sign-in.ts";
import { deleteFlowsOf } from "./flow-store.ts";
import { Flows } from "./flows.ts";
import { type BeginFlow, type FinishFlow, SignInService } from "./service.ts";
import { type SignInFlows, signInFlows } from "./sign-in-flow.ts";
import { SignInMail } from "./sign-in-mail.ts";
import type { Proof, Strategy } from "./strategy.ts";

/** The origin that browsers see in tests. */
export const publicUrl = "https://id.example.org";

/** A strategy by mail whose codes are what the test reads out of `sent`. */
export interface FakeMail extends Strategy {
  /** The last code for an address. */
  readonly sent: Map<string, string>;
  /** What sending and `finish` throw, while set. */
  failure: Error | undefined;
  readonly mailer: Pick<Mailer, "send">;
}

/** A fake of `mailotp`. */
export function createFakeMail(name = "mailotp"): FakeMail {
  const sent = new Map<string, string>();
  const fake: FakeMail = {
    name,
    params: {},
    flowSeconds: 600,
    attempts: "code",
    sent,
    failure: undefined,
    mailer: {
      send: async ({ to, text }) => {
        if (fake.failure !== undefined) throw fake.failure;
        sent.set(to, text);
      },
    },
    async begin({ email }) {
      if (email === undefined) throw new DomainError("INVALID_EMAIL");
      const code = randomBytes(4).toString("hex");
      return { secret: { code }, mail: { to: email, subject: "", text: code, html: "" } };
    },
    async finish({ code, flow }) {
      if (this.failure !== undefined) throw this.failure;
      if (code !== flow.secret.code) throw new DomainError("INVALID_OTP");
      return { kind: "mailbox", email: flow.email ?? "" };
    },
  };
  return fake;
}

/** A fake of an identity provider: proves what the test put under the code. */
export interface FakeProvider extends Strategy {
  readonly people: Map<string, Proof>;
}

/** A fake of an identity provider, answered at a URL of its own. */
export function createFakeProvider(name: string): FakeProvider {
  const people = new Map<string, Proof>();
  return {
    name,
    params: {},
    flowSeconds: 600,
    callbackUrl: `${publicUrl}/auth/callback/${name}`,
    attempts: "once",
    people,
    begin: async ({ state }) => ({ endpoint: `https://${name}.example/?state=${state}`, secret: { name } }),
    async finish({ code, flow }) {
      if (flow.secret.name !== name) throw new Error("another strategy's secret");
      const proof = people.get(code);
      if (proof === undefined) throw new DomainError("CODE_MISSING");
      return proof;
    },
  };
}

/** Everything that a sign-in touches. */
export interface SignInParts {
  readonly service: SignInService;
  readonly parts: SessionParts;
  readonly limits: MailboxLimits;
  readonly flows: SignInFlows;
  /** What was told of accounts that were taken over. */
  readonly takeOvers: TakeOver[];
  /** What was told of accounts whose address a provider has changed. */
  readonly moves: readonly { readonly from: string; readonly to: string }[];
  close(): Promise<void>;
}

export interface OpenSignInOptions {
  readonly clock: Clock;
  readonly strategies: readonly Strategy[];
  readonly signup?: SignupConfig;
  readonly adminEmails?: readonly string[];
  /** How many flows of an address may be on their way; all unless told. */
  readonly flowLimits?: Rate;
  readonly mailsPerMailbox?: number;
}

/** The key flows are sealed with: all processes on a database share it. */
const sealKey = randomBytes(32);

/** Puts sign-in together as the server does. */
export async function openSignIn(database: OpenDatabase, options: OpenSignInOptions): Promise<SignInParts> {
  const {
    clock,
    strategies,
    signup = { mode: "open", domains: [], byMembers: false },
    adminEmails = [],
  } = options;
  const parts = await openSessions(database, clock, adminEmails);
  const flows = new Flows({ database, sealer: createSealer([sealKey]), clock }, signInFlows);
  const limits = new MailboxLimits({
    database,
    clock,
    wrongCodesPerMailbox: 10,
    mailsPerMailbox: options.mailsPerMailbox ?? 1000,
  });
  const { knownBrowsers } = parts;
  const isFakeMail = (strategy: Strategy): strategy is FakeMail => "mailer" in strategy;
  const { mailer = { send: async () => {} } } = strategies.find(isFakeMail) ?? {};
  const takeOvers: TakeOver[] = [];
  const moves: { from: string; to: string }[] = [];
  const service = new SignInService({
    database,
    feed: parts.feed,
    audit: parts.audit,
    clock,
    log: silentLog,
    strategies,
    redirects: {
      plainCallbackUrl: `${publicUrl}/auth/callback`,
      callbackUrls: ["https://app.example.org/callback"],
      authorizedRedirectUrls: ["https://app.example.org/home"],
    },
    flows,
    flowLimits: options.flowLimits ?? { take: (key) => ({ key, at: new Date(0) }), giveBack: () => {} },
    verifier: new AnswerVerifier({
      database,
      flows,
      clock,
      guesses: limits,
      knownBrowsers,
      wrongCodesPerFlow: 3,
    }),
    mail: new SignInMail({
      database,
      mailer,
      mailboxLimits: limits,
      knownBrowsers,
      audit: parts.audit,
      log: silentLog,
    }),
    accounts: new Accounts({
      signup,
      adminEmails,
      clock,
      endSessions: (tx, userId) => parts.sessions.endAll(tx, userId),
      forgetPasskeys: deletePasskeys,
      forgetConfirmations,
      endFlows: deleteFlowsOf,
      hasPasskey: async (reader, userId) => (await findPasskeys(reader, userId)).length > 0,
    }),
    onTakeOver: (takeOver) => void takeOvers.push(takeOver),
    onMove: (from, to) => void moves.push({ from, to }),
    holdPasskey,
    sessions: parts.sessions,
    findSession: (id) => findLiveSession(database.reader, id),
  });
  return { service, parts, limits, flows, takeOvers, moves, close: () => parts.close() };
}

/** Browsers as over https. */
export const testBrowsers = createBrowsers({ secure: true, crossSite: false });

/** The browser's side of {@link openSignIn}. */
export function createTestBrowserSignIn({ service, parts }: SignInParts): BrowserSignIn {
  return new BrowserSignIn({
    service,
    sessions: parts.sessions,
    authenticator: parts.authenticator,
    cookies: parts.cookies,
    knownBrowsers: parts.knownBrowsers,
    deviceHeaders,
    browsers: testBrowsers,
  });
}

/** A request of `Authenticate`, with what is not said left out. */
export function toBegin(given: Partial<BeginFlow>): BeginFlow {
  return {
    strategyName: "mailotp",
    email: "",
    returnTo: "",
    callbackUrl: "",
    browser: "",
    browserKeys: [],
    principal: undefined,
    info: newRequestInfo(),
    ...given,
  };
}

/** A request of `AuthCallback`, with what is not said left out. */
export function toFinish(given: Partial<FinishFlow>): FinishFlow {
  return {
    strategyName: "",
    state: "",
    code: "",
    stateOptions: {},
    browsers: [],
    browserKeys: [],
    principal: undefined,
    sessions: [],
    device: unknownDevice,
    info: newRequestInfo(),
    ...given,
  };
}
