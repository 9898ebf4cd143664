/**
 * The gate's decision: may this request come in, and as whom?
 *
 * A request comes in only by a clear yes. What is unknown, ambiguous, malformed
 * or cannot be told now is a denial, a defect included, and never an error: no
 * dialect has to know how to fail.
 *
 * A credential that was let in is remembered until something it depends on
 * changes, its own end, or half the life of its assertion, so that most asks
 * are decided at once: two look-ups, one hash, and headers that are ready.
 */
import { hash } from "node:crypto";
import { InvalidatedCache } from "../../changes/cache.ts";
import type { ChangeFeed } from "../../changes/feed.ts";
import type { ApiKeyRate } from "../../frontdoor/frontends/frontend.ts";
import type { ProviderIdentity } from "../../frontdoor/provider-types/provider-type.ts";
import { type Clock, clockSlackMs } from "../../lib/clock.ts";
import { DomainError } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import { createLru } from "../../lib/lru.ts";
import type { GateAsk } from "../asks/ask.ts";
import type { Directory } from "../directory/directory.ts";
import type { GateFrontend, GateProvider } from "../directory/frontend.ts";
import { stripOwnCookies } from "./cookies.ts";
import { findCredential, type VisitorCredential } from "./credentials.ts";
import type {
  Decide,
  GateAllowed,
  GateDecision,
  GateDenied,
  GateIdentity,
  IdentityHeaders,
  MakeIdentityHeaders,
} from "./decision.ts";
import type { JudgeCredential } from "./judge.ts";
import type { KeyRates } from "./key-rates.ts";
import { decideWithoutIdentity, findPolicyRefusal } from "./policy.ts";
import { type GateReason, gateReasons } from "./reasons.ts";

export interface DeciderOptions {
  readonly directory: Pick<Directory, "peek" | "find">;
  readonly judge: JudgeCredential;
  readonly makeIdentityHeaders: MakeIdentityHeaders;
  readonly feed: Pick<ChangeFeed, "isConfirmed" | "subscribe">;
  readonly keyRates: Pick<KeyRates, "take">;
  /** Whether a value of `sid` was made by this service. */
  readonly isOwnSession: (cookie: string) => boolean;
  /** Hears every decision. Cheap, and never throws. */
  readonly onDecision: (ask: GateAsk, frontend: GateFrontend | undefined, decision: GateDecision) => void;
  readonly clock: Clock;
  readonly log: Log;
  /** How much is remembered of those let in, in KiB of headers; of denials, in entries. */
  readonly maxAdmissions?: number;
  readonly maxDenials?: number;
}

/** Somebody who may come in, for as long as this holds. */
interface Admission {
  readonly allowed: GateAllowed;
  readonly fromMs: number;
  readonly untilMs: number;
  readonly dependsOn: readonly string[];
  readonly weight: number;
  /** Of an API key where the policy bounds its use. */
  readonly rate?: { readonly key: string; readonly of: ApiKeyRate };
  noteUse?(): void;
}

/** Somebody who may not. */
interface Refusal {
  readonly denied: GateDenied;
}

/** What a denial is remembered by: nothing has changed since, anywhere. */
interface KeptRefusal extends Refusal {
  readonly changes: number;
  readonly fromMs: number;
}

/** Longest time that an admission holds, whatever it rests on: keys of an issuer may be withdrawn. */
const admissionMs = 60_000;

/** How long a denial holds: it saves the second look when a proxy asks twice for one request. */
const refusalMs = 2_000;

/** Most bytes of identity headers; an answer's head has 16 KiB for these and all else. */
const longestIdentity = 12_288;

const unavailable: GateDenied = { isAllowed: false, reason: "UNAVAILABLE", retryAfterSeconds: 5 };
const noCredential: GateDenied = {
  isAllowed: false,
  reason: "NO_CREDENTIAL",
  challenges: ["Bearer"],
};
const badCredentialChallenges = ['Bearer error="invalid_token"'];

/** @see the head of this file */
export class Decider {
  readonly #options: DeciderOptions;
  readonly #admissions: InvalidatedCache<Admission | Refusal>;
  readonly #refusals;
  /** Counts changes of whatever kind. */
  #changes = 0;

  constructor(options: DeciderOptions) {
    this.#options = options;
    const { feed, maxAdmissions = 65_536, maxDenials = 10_000 } = options;
    this.#admissions = new InvalidatedCache<Admission | Refusal>({
      feed,
      topics: ["user", "session", "service-user", "credential", "organization", "token"],
      maxEntries: maxAdmissions,
      isKept: (outcome) => "allowed" in outcome,
      weigh: (outcome) => ("allowed" in outcome ? outcome.weight : 1),
      subjectsOf: (outcome) => ("allowed" in outcome ? outcome.dependsOn : []),
    });
    this.#refusals = createLru<string, KeptRefusal>(maxDenials);
    feed.subscribe({
      onChange: ({ topic }) => {
        this.#changes += 1;
        // Tokens that a withdrawn key has signed are as bad as assertions that it has.
        if (topic === "signing-keys") this.#admissions.clear();
      },
      onReset: () => {
        this.#changes += 1;
      },
    });
  }

  /** For metrics. */
  get cache(): Pick<InvalidatedCache<Admission | Refusal>, "size" | "loadCount"> {
    return this.#admissions;
  }

  /** Decides; at once where everything is in memory. Never rejects, never throws. */
  readonly decide: Decide = (ask) => {
    try {
      const known = this.#options.directory.peek(ask.frontdoorId, ask.host);
      if (known === undefined) return this.#findAndDecide(ask);
      return this.#decideAt(known.frontend, ask);
    } catch (error) {
      return this.#onError(ask, error);
    }
  };

  async #findAndDecide(ask: GateAsk): Promise<GateDecision> {
    try {
      const { frontend } = await this.#options.directory.find(ask.frontdoorId, ask.host);
      return await this.#decideAt(frontend, ask);
    } catch (error) {
      return this.#onError(ask, error);
    }
  }

  #decideAt(frontend: GateFrontend | undefined, ask: GateAsk): GateDecision | Promise<GateDecision> {
    if (frontend === undefined)
      return this.#tell(ask, frontend, { isAllowed: false, reason: "UNKNOWN_HOST" });
    const settled = decideWithoutIdentity(frontend, ask);
    if (settled !== undefined) {
      if (gateReasons[settled].outcome === "allow") return this.#letInUnjudged(frontend, ask, settled);
      return this.#tell(ask, frontend, { isAllowed: false, reason: settled });
    }
    const presented = findCredential(frontend, ask.headers);
    if (presented === undefined) return this.#tell(ask, frontend, noCredential);
    if (presented === "ambiguous") {
      return this.#tell(ask, frontend, { isAllowed: false, reason: "AMBIGUOUS_CREDENTIAL" });
    }
    if (presented.kind === "session") {
      return this.#tell(ask, frontend, { isAllowed: false, reason: "SESSION_ENDED" });
    }
    const key = toKey(frontend, ask.host, presented);
    const kept = this.#findKept(key);
    if (kept !== undefined) return this.#answer(ask, frontend, kept);
    return this.#judge(ask, frontend, key, presented);
  }

  /** On a public path: whoever it is stays unknown, and the upstream learns that the gate was passed. */
  #letInUnjudged(
    frontend: GateFrontend,
    ask: GateAsk,
    reason: GateReason,
  ): GateDecision | Promise<GateDecision> {
    const key = `${frontend.version} ${ask.host} ${reason}`;
    const kept = this.#findKept(key);
    if (kept !== undefined) return this.#answer(ask, frontend, kept);
    const load = async () => this.#admit({ host: ask.host, frontend }, reason, undefined);
    return this.#load(ask, frontend, key, load);
  }

  #judge(
    ask: GateAsk,
    frontend: GateFrontend,
    key: string,
    presented: VisitorCredential,
  ): Promise<GateDecision> {
    return this.#load(ask, frontend, key, async () => {
      const changes = this.#changes;
      const outcome = await this.#judgeOnce(frontend, ask.host, presented);
      if ("denied" in outcome && outcome.denied.reason !== "UNAVAILABLE") {
        const fromMs = this.#options.clock.now().getTime();
        this.#refusals.set(key, { ...outcome, changes, fromMs });
      }
      return outcome;
    });
  }

  async #load(
    ask: GateAsk,
    frontend: GateFrontend,
    key: string,
    load: () => Promise<Admission | Refusal>,
  ): Promise<GateDecision> {
    try {
      const outcome = await this.#admissions.refresh(key, load);
      return this.#answer(ask, frontend, outcome ?? { denied: unavailable });
    } catch (error) {
      return this.#onError(ask, error, frontend);
    }
  }

  /** What is remembered and holds still. */
  #findKept(key: string): Admission | Refusal | undefined {
    const { clock, feed } = this.#options;
    const nowMs = clock.now().getTime();
    const admission = this.#admissions.peek(key);
    if (admission !== undefined && "allowed" in admission) {
      const { fromMs, untilMs } = admission;
      // A clock that was set back must not make anything hold for longer.
      if (nowMs < untilMs && nowMs >= fromMs - clockSlackMs) return admission;
    }
    const refusal = this.#refusals.get(key);
    if (refusal === undefined || refusal.changes !== this.#changes || !feed.isConfirmed()) return undefined;
    return Math.abs(nowMs - refusal.fromMs) < refusalMs ? refusal : undefined;
  }

  async #judgeOnce(
    frontend: GateFrontend,
    host: string,
    presented: VisitorCredential,
  ): Promise<Admission | Refusal> {
    const judgement = await this.#options.judge(frontend, presented);
    if (!judgement.isGood) {
      const { detail, isUnavailable } = judgement;
      return {
        denied: isUnavailable
          ? { ...unavailable, detail }
          : { isAllowed: false, reason: "BAD_CREDENTIAL", detail, challenges: badCredentialChallenges },
      };
    }
    const { provider, identity } = judgement;
    const refusal = findPolicyRefusal(frontend, identity);
    if (refusal !== undefined) return { denied: { isAllowed: false, ...refusal } };
    return await this.#admit({ host, frontend }, "IDENTIFIED", { provider, identity, presented });
  }

  async #admit(
    target: { readonly host: string; readonly frontend: GateFrontend },
    reason: GateReason,
    found:
      | {
          readonly provider: GateProvider;
          readonly identity: ProviderIdentity;
          readonly presented: VisitorCredential;
        }
      | undefined,
  ): Promise<Admission | Refusal> {
    const { makeIdentityHeaders, clock } = this.#options;
    const fromMs = clock.now().getTime();
    const endsAt = found?.identity.expiresAt;
    const headers = await makeIdentityHeaders(
      { ...target, ...(endsAt && { endsAt }) },
      found && toGateIdentity(found.provider, found.identity),
    );
    const bytes = measure(headers);
    if (bytes > longestIdentity) return { denied: { isAllowed: false, reason: "HEAD_TOO_LARGE" } };
    const rate = found && toRate(target.frontend, found.presented, found.identity);
    return {
      allowed: {
        isAllowed: true,
        reason,
        identity: headers.lines,
        ...(found && { consumed: found.presented.header }),
        keyHeaders: [...target.frontend.byKeyHeader.keys()],
      },
      fromMs,
      untilMs: Math.min(
        fromMs + admissionMs,
        headers.renewAtMs,
        endsAt?.getTime() ?? Number.POSITIVE_INFINITY,
      ),
      dependsOn: found?.identity.dependsOn ?? [],
      weight: Math.ceil(bytes / 1024),
      ...(rate && { rate }),
      ...(found?.identity.noteUse && { noteUse: found.identity.noteUse }),
    };
  }

  #answer(ask: GateAsk, frontend: GateFrontend, outcome: Admission | Refusal): GateDecision {
    if ("denied" in outcome) return this.#tell(ask, frontend, outcome.denied);
    const { keyRates, isOwnSession } = this.#options;
    const { rate, allowed } = outcome;
    const retryAfterSeconds = rate === undefined ? 0 : keyRates.take(rate.key, rate.of);
    if (retryAfterSeconds > 0) {
      return this.#tell(ask, frontend, { isAllowed: false, reason: "KEY_RATE", retryAfterSeconds });
    }
    outcome.noteUse?.();
    const cookie = stripOwnCookies(ask.headers, isOwnSession);
    return this.#tell(ask, frontend, cookie === undefined ? allowed : { ...allowed, cookie });
  }

  #tell(ask: GateAsk, frontend: GateFrontend | undefined, decision: GateDecision): GateDecision {
    this.#options.onDecision(ask, frontend, decision);
    return decision;
  }

  #onError(ask: GateAsk, error: unknown, frontend?: GateFrontend): GateDecision {
    const isOutage = error instanceof DomainError && error.kind === "unavailable";
    if (!isOutage) this.#options.log.error({ err: error, requestId: ask.requestId }, "the gate failed");
    return this.#tell(ask, frontend, unavailable);
  }
}

/** One for each credential at each host of each state of a frontend; of the credential only its hash is kept. */
function toKey({ version }: GateFrontend, host: string, { header, value }: VisitorCredential): string {
  return hash("sha256", `${version} ${host} ${header} ${value}`, "base64url");
}

function toRate(
  { id, keyRate }: GateFrontend,
  { kind }: VisitorCredential,
  { subject }: ProviderIdentity,
): Admission["rate"] {
  if (kind !== "api_key" || keyRate === undefined) return undefined;
  return { key: `${id} ${subject} ${keyRate.perSeconds}`, of: keyRate };
}

function measure({ lines }: IdentityHeaders): number {
  return lines.reduce((bytes, [name, value]) => bytes + name.length + value.length + 4, 0);
}

/** Who a provider found, as the upstream is told. */
function toGateIdentity(provider: GateProvider, identity: ProviderIdentity): GateIdentity {
  const { subject, name, email, emailVerified, organizations, groups } = identity;
  const isOwn = provider.type.name === "VESTIBULE";
  return {
    subject: isOwn ? subject : `${provider.id}:${subject}`,
    providerId: provider.id,
    ...(emailVerified && email !== undefined && { email }),
    ...(name !== undefined && { name }),
    organizations,
    groups,
  };
}
