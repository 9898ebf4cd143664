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
import type { LRUCache } from "lru-cache";
import { InvalidatedCache } from "../../changes/cache.ts";
import type { ChangeFeed } from "../../changes/feed.ts";
import type { ProviderCredential, ProviderIdentity } from "../../frontdoor/provider-types/provider-type.ts";
import { type Clock, clockSlackMs } from "../../lib/clock.ts";
import { DomainError } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import { createLru } from "../../lib/lru.ts";
import type { FailureLimits } from "../../limits/failure-limits.ts";
import type { GateAsk } from "../asks/ask.ts";
import { isNavigation } from "../asks/navigation.ts";
import type { Directory } from "../directory/directory.ts";
import type { GateFrontend, GateProvider } from "../directory/frontend.ts";
import type { AskedTarget, AskProviders } from "./ask-providers.ts";
import { stripOwnCookies } from "./cookies.ts";
import { findCredential, readCredential, type VisitorCredential } from "./credentials.ts";
import type {
  Decide,
  GateAllowed,
  GateDecision,
  GateDenied,
  GateIdentity,
  IdentityHeaders,
  MakeIdentityHeaders,
} from "./decision.ts";
import type { KeyRates, RatedKey } from "./key-rates.ts";
import { decideWithoutIdentity, findPolicyRefusal } from "./policy.ts";
import { type GateReason, gateReasons } from "./reasons.ts";
import { findLogin } from "./start-url.ts";

/** Parts that a decision stands on: who is behind a host, who judges, what is cached. */
export interface DeciderOptions {
  readonly directory: Pick<Directory, "peek" | "find">;
  readonly askProviders: AskProviders;
  readonly makeIdentityHeaders: MakeIdentityHeaders;
  readonly feed: Pick<ChangeFeed, "isConfirmed" | "subscribe">;
  readonly keyRates: Pick<KeyRates, "take">;
  readonly failures: Pick<FailureLimits, "findUsedUp" | "count" | "noteGood">;
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
  readonly rate?: RatedKey;
  /** Of a session that a visit of its holder has to renew: let in is all but a visit. */
  readonly isDue?: boolean;
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

/** What let somebody in last on a connection, and what it is remembered by. */
interface Presented extends Pick<VisitorCredential, "header" | "value"> {
  readonly version: string;
  readonly host: string;
  readonly key: string;
}

/** Longest time that an admission holds, whatever it rests on: keys of an issuer may be withdrawn. */
const admissionMs = 60_000;

/** How long a denial holds: it saves the second look when a proxy asks twice for one request. */
const refusalMs = 2_000;

/** Most bytes of identity headers; an answer's head has 16 KiB for these and all else. */
const longestIdentity = 12_288;

const unavailable: GateDenied = { isAllowed: false, reason: "UNAVAILABLE", retryAfterSeconds: 5 };
const challenges = ["Bearer"];
const noCredential: GateDenied = { isAllowed: false, reason: "NO_CREDENTIAL", challenges };
const sessionDue: GateDenied = { isAllowed: false, reason: "SESSION_DUE", challenges };
const badCredentialChallenges = ['Bearer error="invalid_token"'];

/** @see the head of this file */
export class Decider {
  readonly #options: DeciderOptions;
  readonly #admissions: InvalidatedCache<Admission | Refusal>;
  readonly #refusals: LRUCache<string, KeptRefusal>;
  /** Requests whose credential was counted as a failure: a proxy may ask several times for one. */
  readonly #counted: LRUCache<string, true>;
  /** By connections of proxies: a program's asks, and those of a page, often follow each other on one. */
  readonly #presented = new WeakMap<object, Presented>();
  /** Counts changes of whatever kind. */
  #changes = 0;

  constructor(options: DeciderOptions) {
    this.#options = options;
    const { feed, maxAdmissions = 65_536, maxDenials = 10_000 } = options;
    this.#admissions = new InvalidatedCache<Admission | Refusal>({
      feed,
      topics: ["user", "session", "gate-session", "service-user", "credential", "organization", "token"],
      maxEntries: maxAdmissions,
      isKept: (outcome) => "allowed" in outcome,
      weigh: (outcome) => ("allowed" in outcome ? outcome.weight : 1),
      subjectsOf: (outcome) => ("allowed" in outcome ? outcome.dependsOn : []),
    });
    this.#refusals = createLru(maxDenials);
    this.#counted = createLru(maxDenials);
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
    const key = this.#toKey(frontend, ask, presented);
    const kept = this.#findAdmission(key);
    if (kept !== undefined) return this.#letIn(ask, frontend, kept);
    // What does not let anybody in, or no longer, is not left lying in memory as it was sent.
    if (ask.connection !== undefined) this.#presented.delete(ask.connection);
    return this.#askProviders(ask, frontend, key, presented);
  }

  /** On a public path: whoever it is stays unknown, and the upstream learns that the gate was passed. */
  #letInUnjudged(
    frontend: GateFrontend,
    ask: GateAsk,
    reason: GateReason,
  ): GateDecision | Promise<GateDecision> {
    const key = `${frontend.version} ${ask.host} ${reason}`;
    const kept = this.#findAdmission(key);
    if (kept !== undefined) return this.#letIn(ask, frontend, kept);
    return this.#admissions
      .refresh(key, () => this.#admit({ host: ask.host, frontend }, reason, undefined))
      .then((outcome = { denied: unavailable }) =>
        "denied" in outcome
          ? this.#tell(ask, frontend, outcome.denied)
          : this.#letInStill(ask, frontend, outcome),
      )
      .catch((error: unknown) => this.#onError(ask, error, frontend));
  }

  /** Has a credential judged. A secret that could be guessed is not, once its address has failed too often. */
  async #askProviders(
    ask: GateAsk,
    frontend: GateFrontend,
    key: string,
    presented: VisitorCredential,
  ): Promise<GateDecision> {
    try {
      const credential = readCredential(presented);
      const clientId = credential.kind === "basic" ? credential.id : undefined;
      const { failures } = this.#options;
      const usedUp =
        clientId === undefined ? undefined : await failures.findUsedUp(ask.clientAddress, clientId);
      if (usedUp !== undefined) return this.#tell(ask, frontend, toLimited(usedUp));
      const outcome = await this.#admissions.refresh(key, () =>
        this.#askOnce({ host: ask.host, frontend }, key, { presented, credential }),
      );
      if (outcome === undefined || "denied" in outcome) {
        return await this.#refuse(ask, frontend, outcome?.denied ?? unavailable, { key, clientId });
      }
      if (clientId !== undefined) failures.noteGood(ask.clientAddress, clientId);
      return await this.#letInStill(ask, frontend, outcome);
    } catch (error) {
      return this.#onError(ask, error, frontend);
    }
  }

  /** Denies what was judged. What nobody vouches for counts as a failure, once for each request. */
  async #refuse(
    ask: GateAsk,
    frontend: GateFrontend,
    denied: GateDenied,
    { key, clientId }: { readonly key: string; readonly clientId: string | undefined },
  ): Promise<GateDecision> {
    const request = `${ask.requestId} ${key}`;
    if (denied.reason !== "BAD_CREDENTIAL" || this.#counted.has(request))
      return this.#tell(ask, frontend, denied);
    this.#counted.set(request, true);
    const exceeded = await this.#options.failures.count(ask.clientAddress, clientId);
    return this.#tell(ask, frontend, exceeded === undefined ? denied : toLimited(exceeded));
  }

  /** As {@link toKey}; of what a connection has presented last it is known. */
  #toKey({ version }: GateFrontend, { host, connection }: GateAsk, presented: VisitorCredential): string {
    const { header, value } = presented;
    const last = connection && this.#presented.get(connection);
    const isSame = last?.version === version && last.host === host && last.header === header;
    if (isSame && last.value === value) return last.key;
    const key = toKey(version, host, presented);
    if (connection !== undefined) this.#presented.set(connection, { version, host, header, value, key });
    return key;
  }

  /** What is remembered and holds still. */
  #findAdmission(key: string): Admission | undefined {
    const kept = this.#admissions.peek(key);
    if (kept === undefined || "denied" in kept) return undefined;
    const nowMs = this.#options.clock.now().getTime();
    // A clock that was set back must not make anything hold for longer.
    return nowMs < kept.untilMs && nowMs >= kept.fromMs - clockSlackMs ? kept : undefined;
  }

  /** As {@link #findAdmission}. */
  #findRefusal(key: string): Refusal | undefined {
    const { clock, feed } = this.#options;
    const kept = this.#refusals.get(key);
    if (kept === undefined || kept.changes !== this.#changes || !feed.isConfirmed()) return undefined;
    return Math.abs(clock.now().getTime() - kept.fromMs) < refusalMs ? kept : undefined;
  }

  async #askOnce(
    target: AskedTarget,
    key: string,
    {
      presented,
      credential,
    }: { readonly presented: VisitorCredential; readonly credential: ProviderCredential },
  ): Promise<Admission | Refusal> {
    const known = this.#findRefusal(key);
    if (known !== undefined) return known;
    const changes = this.#changes;
    const { askProviders } = this.#options;
    const judgement = await askProviders(target, presented.header, credential);
    if (judgement.isGood) {
      const refusal = findPolicyRefusal(target.frontend, judgement.identity);
      if (refusal === undefined) return await this.#admit(target, "IDENTIFIED", { ...judgement, presented });
      return this.#keepRefusal(key, { isAllowed: false, ...refusal }, changes);
    }
    const { reason, detail } = judgement;
    if (reason === "UNAVAILABLE") return { denied: { ...unavailable, detail } };
    const denied = { isAllowed: false, reason, detail, challenges } as const;
    const isBad = reason === "BAD_CREDENTIAL";
    return this.#keepRefusal(
      key,
      isBad ? { ...denied, challenges: badCredentialChallenges } : denied,
      changes,
    );
  }

  #keepRefusal(key: string, denied: GateDenied, changes: number): Refusal {
    this.#refusals.set(key, { denied, changes, fromMs: this.#options.clock.now().getTime() });
    return { denied };
  }

  async #admit(
    target: AskedTarget,
    reason: GateReason,
    found:
      | {
          readonly provider: GateProvider;
          readonly identity: ProviderIdentity;
          readonly presented: VisitorCredential;
          readonly until?: Date;
          readonly isDue?: boolean;
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
        ...(found && found.presented.kind !== "session" && { consumed: found.presented.header }),
        keyHeaders: target.frontend.keyHeaders,
      },
      fromMs,
      untilMs: Math.min(
        fromMs + admissionMs,
        headers.renewAtMs,
        endsAt?.getTime() ?? Number.POSITIVE_INFINITY,
        found?.until?.getTime() ?? Number.POSITIVE_INFINITY,
      ),
      dependsOn: found?.identity.dependsOn ?? [],
      weight: 1 + Math.floor(bytes / 1024),
      ...(rate && { rate }),
      ...(found?.isDue === true && { isDue: true }),
      ...(found?.identity.noteUse && { noteUse: found.identity.noteUse }),
    };
  }

  /** Lets in after waiting, for an issuer perhaps: unless the host is served otherwise by now, and all is decided anew. */
  async #letInStill(ask: GateAsk, frontend: GateFrontend, admission: Admission): Promise<GateDecision> {
    const { directory } = this.#options;
    const { frontdoorId, host } = ask;
    const known = directory.peek(frontdoorId, host) ?? (await directory.find(frontdoorId, host));
    const isSame = known.frontend?.version === frontend.version;
    return isSame ? this.#letIn(ask, frontend, admission) : await this.#decideAt(known.frontend, ask);
  }

  #letIn(ask: GateAsk, frontend: GateFrontend, admission: Admission): GateDecision {
    const { keyRates, isOwnSession } = this.#options;
    const { rate, allowed } = admission;
    if (admission.isDue === true && isNavigation(ask)) return this.#tell(ask, frontend, sessionDue);
    const retryAfterSeconds = rate === undefined ? 0 : keyRates.take(rate);
    if (retryAfterSeconds > 0) {
      return this.#tell(ask, frontend, { isAllowed: false, reason: "KEY_RATE", retryAfterSeconds });
    }
    admission.noteUse?.();
    const cookie = stripOwnCookies(ask.headers, isOwnSession);
    return this.#tell(ask, frontend, cookie === undefined ? allowed : { ...allowed, cookie });
  }

  #tell(ask: GateAsk, frontend: GateFrontend | undefined, decision: GateDecision): GateDecision {
    this.#options.onDecision(ask, frontend, decision);
    if (decision.isAllowed || frontend === undefined) return decision;
    const login = findLogin(decision.reason, frontend, ask);
    return login === undefined ? decision : { ...decision, login };
  }

  #onError(ask: GateAsk, error: unknown, frontend?: GateFrontend): GateDecision {
    const isOutage = error instanceof DomainError && error.kind === "unavailable";
    if (!isOutage) this.#options.log.error({ err: error, requestId: ask.requestId }, "the gate failed");
    return this.#tell(ask, frontend, unavailable);
  }
}

function toLimited({ retryAfterSeconds, detail }: DomainError): GateDenied {
  return {
    isAllowed: false,
    reason: "TOO_MANY_FAILURES",
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
    ...(detail !== undefined && { detail }),
  };
}

/** One for each credential at each host of each state of a frontend; of the credential only its hash is kept with it. */
function toKey(version: string, host: string, { header, value }: VisitorCredential): string {
  return hash("sha256", `${version} ${host} ${header} ${value}`, "base64url");
}

function toRate(
  { id, keyRate }: GateFrontend,
  { kind }: VisitorCredential,
  { subject }: ProviderIdentity,
): Admission["rate"] {
  if (kind !== "api_key" || keyRate === undefined) return undefined;
  return { frontendId: id, keyId: subject, rate: keyRate };
}

function measure({ lines }: IdentityHeaders): number {
  return lines.reduce((bytes, [name, value]) => bytes + name.length + value.length + 4, 0);
}

/** Who a provider found, as the upstream is told. */
export function toGateIdentity(provider: GateProvider, identity: ProviderIdentity): GateIdentity {
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
