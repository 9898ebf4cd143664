/** The gate's core over hand-made frontends. For tests only. */
import type { AuditRefusal } from "../audit/audit.ts";
import type { ChangeListener } from "../changes/feed.ts";
import type { ChangeTopic } from "../changes/topics.ts";
import type { Database } from "../db/database.ts";
import { defaultPolicy, type FrontendAtHost, type FrontendPolicy } from "../frontdoor/frontends/frontend.ts";
import type { ProviderTypeName } from "../frontdoor/provider-types/provider-type.ts";
import { createProviderTypes, type ProviderTypes } from "../frontdoor/provider-types/provider-types.ts";
import { createTestContext, makeKey, type TestContext } from "../frontdoor/provider-types/test-support.ts";
import { DomainError } from "../lib/errors.ts";
import type { JsonObject } from "../lib/json.ts";
import { type Log, silentLog } from "../lib/log.ts";
import { hashSecret, newSecret } from "../lib/secrets.ts";
import { createFailureLimits, type FailureLimits } from "../limits/failure-limits.ts";
import { WindowCounts } from "../limits/window-counts.ts";
import type { GateAsk } from "./asks/ask.ts";
import { createAskProviders } from "./decisions/ask-providers.ts";
import { Decider } from "./decisions/decide.ts";
import type { GateDecision, MakeIdentityHeaders } from "./decisions/decision.ts";
import { KeyRates } from "./decisions/key-rates.ts";
import { createDecisionRecorder } from "./decisions/record.ts";
import { type GateFrontend, toGateFrontend, versionOf } from "./directory/frontend.ts";
import type { JudgeSession } from "./sessions/judge.ts";

export const frontdoorId = "0199c9a0-0000-7000-8000-0000000000fd";
export const orgId = "0199c9a0-0000-7000-8000-000000000001";
export const host = "app.example.com";
export const issuer = "https://issuer.example.com";

/** What an issuer signs with in these tests. */
export const issuerKey = makeKey("k1");

/** A JWT of {@link issuer}, good for ten minutes. */
export function makeToken(context: TestContext, claims: object = {}, header: object = {}): string {
  const exp = Math.floor(context.clock.now().getTime() / 1000) + 600;
  return issuerKey.sign({ iss: issuer, aud: "app", sub: "alice", exp, ...claims }, header);
}

/** A feed that says what the test says. */
class FakeFeed {
  confirmed = true;
  readonly #listeners = new Set<ChangeListener>();

  isConfirmed(): boolean {
    return this.confirmed;
  }

  subscribe(listener: ChangeListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  change(topic: ChangeTopic, subject: string): void {
    for (const listener of this.#listeners) listener.onChange({ topic, subject });
  }
}

const jwks = { keys: [issuerKey.jwk] } as unknown as JsonObject;

/** Providers of each kind that judge here, by the names that {@link TestGate.serve} takes. */
export const definitions = {
  jwt: { type: "JWT", data: { issuer, audiences: ["app"], jwks } },
  jwtElsewhere: { type: "JWT", data: { issuer, audiences: ["elsewhere"], jwks } },
  keys: { type: "API_KEY", data: {} },
  otherKeys: { type: "API_KEY", data: { header: "X-Other-Key" } },
  own: { type: "VESTIBULE", data: {} },
} satisfies Record<string, { type: ProviderTypeName; data: JsonObject }>;

export type TestProviderName = keyof typeof definitions;

/** Knows no session. */
export const refuseSession: JudgeSession = async () => ({
  isGood: false,
  refusal: "ended",
  detail: "there is none",
});

/** Builds the core; nothing is read from anywhere. */
export class TestGate {
  readonly feed = new FakeFeed();
  readonly refusals: AuditRefusal[] = [];
  readonly logged: object[] = [];
  readonly context: TestContext;
  readonly types: ProviderTypes;
  readonly decider: Decider;
  readonly recorder = createDecisionRecorder({
    refuse: (_request, refusal) => void this.refusals.push(refusal),
  });
  /** Times that a credential was judged, or headers were made. */
  made = 0;
  /** How long headers are good, in milliseconds. */
  headersMs = 30_000;
  /** The assertion in them. */
  assertion = "";
  /** Thrown by whoever makes headers, if set. */
  signingFails: Error | undefined;
  /** Who is behind a session's cookie. */
  judgeSession = refuseSession;
  readonly #frontends = new Map<string, GateFrontend>();

  constructor(context: TestContext = createTestContext(), changeTypes = (types: ProviderTypes) => types) {
    this.context = context;
    this.types = changeTypes(createProviderTypes(context));
    const log: Log = {
      debug: () => {},
      info: () => {},
      infoText: () => {},
      warn: () => {},
      error: (fields) => void this.logged.push(fields),
      child: () => log,
    };
    const find = (frontdoor: string, at: string) => ({
      frontdoorId: frontdoor,
      frontend: this.findFrontend(frontdoor, at),
    });
    this.decider = new Decider({
      directory: { peek: find, find: async (...where) => find(...where) },
      askProviders: createAskProviders(log, (...asked) => this.judgeSession(...asked)),
      makeIdentityHeaders: this.makeHeaders,
      feed: this.feed,
      keyRates: new KeyRates({ ...context, log: silentLog, database: noDatabase }),
      failures: createTestFailures(context),
      isOwnSession: (cookie) => cookie.startsWith("ours"),
      onDecision: this.recorder.note,
      clock: context.clock,
      log,
    });
  }

  readonly makeHeaders: MakeIdentityHeaders = async (_target, identity) => {
    this.made += 1;
    if (this.signingFails !== undefined) throw this.signingFails;
    return {
      lines: [
        ["X-Vestibule-Subject", identity?.subject ?? ""],
        ["X-Vestibule-Email", identity?.email ?? ""],
        ["X-Vestibule-Name", identity?.name ?? ""],
        ["X-Vestibule-Organizations", identity?.organizations.join(",") ?? ""],
        ["X-Vestibule-Groups", identity?.groups.join(",") ?? ""],
        ["X-Vestibule-Assertion", this.assertion],
      ],
      renewAtMs: this.context.clock.now().getTime() + this.headersMs,
    };
  };

  findFrontend(frontdoor: string, at: string): GateFrontend | undefined {
    return this.#frontends.get(`${frontdoor} ${at}`);
  }

  /** Lets providers judge at a host. Answers their ids, in order. */
  serve(
    names: readonly TestProviderName[],
    policy: Partial<FrontendPolicy> = {},
    rest: Partial<FrontendAtHost> & { readonly at?: string } & Partial<GateFrontend> = {},
  ): string[] {
    const providers = names.map((name) => ({
      id: `provider-${name}`,
      name,
      enabled: true,
      revision: 1,
      sessionsFrom: 1,
      ...definitions[name],
    }));
    const { at = host, ...other } = rest;
    const read: FrontendAtHost = {
      id: "frontend-1",
      frontdoorId,
      orgId,
      isOpen: true,
      isActive: true,
      hostname: at,
      policy: { ...defaultPolicy, ...policy },
      authorization: "JUDGE",
      scheme: "https",
      assertionHeader: "",
      providerIds: providers.map(({ id }) => id),
      providers,
      ...other,
    };
    const ready = { ...toGateFrontend(read, versionOf(read), this.types), ...other };
    this.#frontends.set(`${read.frontdoorId} ${at}`, ready);
    return providers.map(({ id }) => id);
  }

  /** Makes a key of the provider `keys`, or of another. */
  makeApiKey(id = "key-1", providerId = "provider-keys"): string {
    const key = newSecret("vstk");
    this.context.storedKeys.set(hashSecret(key), { id, title: "ci", providerId });
    return key;
  }

  /** Asks for a path with these header lines. */
  async ask(
    headers: Readonly<Record<string, string | readonly string[]>> = {},
    rest: Partial<GateAsk> = {},
  ): Promise<GateDecision> {
    return await this.decider.decide(toAsk(headers, rest));
  }

  /** As {@link ask}; answers the reason. */
  async reason(...asked: Parameters<TestGate["ask"]>): Promise<string> {
    return (await this.ask(...asked)).reason;
  }
}

/** Limits on failures, of one process. */
export function createTestFailures({ clock }: Pick<TestContext, "clock">): FailureLimits {
  const failed = new WindowCounts({ windowMs: 60_000, maxKeys: 100 });
  const good = new Set<string>();
  return createFailureLimits({
    counts: {
      addTogether: async (key) => failed.add(key, clock.now()),
      total: (key) => failed.total(key, clock.now()),
      add: (key) => failed.add(key, clock.now()),
      secondsUntilBelow: (key, limit) => failed.secondsUntilBelow(key, limit, clock.now()),
    },
    goodClients: {
      note: ({ block, clientId }) => void good.add(`${block} ${clientId}`),
      isKnown: async ({ block, clientId }) => good.has(`${block} ${clientId}`),
    },
    perClient: 20,
    perAddress: 100,
  });
}

/** One that is away. */
export const noDatabase: Pick<Database, "transaction" | "afterCommit"> = {
  transaction: () => Promise.reject(new DomainError("UNAVAILABLE")),
  afterCommit: () => {},
};

/** A visitor's request as a dialect would have read it. */
export function toAsk(
  headers: Readonly<Record<string, string | readonly string[]>> = {},
  { target = "/", ...rest }: Partial<GateAsk> = {},
): GateAsk {
  return {
    frontdoorId,
    host,
    method: "GET",
    target,
    path: target.split("?")[0] ?? "",
    headers: Object.entries(headers).flatMap(([name, lines]) =>
      [lines].flat().flatMap((line) => [name, line as string]),
    ),
    clientAddress: "192.0.2.1",
    requestId: "r1",
    userAgent: "test",
    ...rest,
  };
}

/** `Authorization` with a bearer token. */
export function bearer(token: string): { readonly authorization: string } {
  return { authorization: `Bearer ${token}` };
}

/** Identity headers of a decision by their names without `X-Vestibule-`; those that are empty left out. */
export function toldOf(decision: GateDecision): Record<string, string> | undefined {
  if (!decision.isAllowed) return undefined;
  const told = decision.identity.filter(([, value]) => value !== "");
  return Object.fromEntries(told.map(([name, value]) => [name.replace("X-Vestibule-", ""), value]));
}
