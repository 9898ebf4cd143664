/**
 * Asking providers again: once its time has come, whoever comes by a session
 * waits while its provider is asked, by what was kept for it, whether it still
 * stands and for whom.
 *
 * It is asked once, however many come at however many processes: who asks has
 * a lease in the row, and what the answer brings takes the place of what was
 * kept in one transaction, for a refresh token is good once. A process that is
 * killed in between leaves a lease that runs out, and a token that is refused,
 * or is not: the session ends, or is renewed. While the provider cannot be
 * asked a session goes on as it was for a quarter of an hour.
 */
import type { AuditTrail } from "../../audit/audit.ts";
import type { ChangeFeed } from "../../changes/feed.ts";
import type { Database } from "../../db/database.ts";
import type { Sealer } from "../../encryption/sealer.ts";
import type {
  ProviderIdentity,
  ProviderLogin,
  ProviderRefusal,
} from "../../frontdoor/provider-types/provider-type.ts";
import type { OpenProvider } from "../../frontdoor/providers/open-provider.ts";
import { type Clock, clockSlackMs } from "../../lib/clock.ts";
import { newId } from "../../lib/ids.ts";
import type { Log } from "../../lib/log.ts";
import { createLru } from "../../lib/lru.ts";
import type { GateProvider } from "../directory/frontend.ts";
import { openKept, sealKept } from "./columns.ts";
import { fromStored, type GateSession, toStored } from "./gate-session.ts";
import { toEndEvent } from "./records.ts";
import * as store from "./store.ts";

/** What asking again came to. */
export type Renewal =
  /** It goes on: as it is now, or as it was until somebody asks again. */
  | { readonly goesOn: true; readonly session: GateSession; readonly until?: Date }
  | { readonly goesOn: false; readonly isOver: boolean; readonly detail: string };

/** Asks a session's provider again, if nobody else does. */
export type Renew = (session: GateSession, provider: GateProvider) => Promise<Renewal>;

/** What whoever has the lease asks by. */
interface TakenRenewal {
  readonly renewalId: string;
  readonly sealedKept: string;
  readonly known: ProviderIdentity;
}

/** What asking again stands on. */
export interface RenewalOptions {
  readonly database: Database;
  readonly feed: Pick<ChangeFeed, "append" | "subscribe">;
  readonly audit: Pick<AuditTrail, "record" | "recordOwn">;
  readonly sealer: Sealer;
  readonly openProvider: OpenProvider;
  readonly clock: Clock;
  readonly log: Log;
  /** How long somebody waits for a provider before they go on without its answer. For tests. */
  readonly patienceMs?: number;
}

/** How long a session goes on as it was while its provider cannot be asked. */
export const outageMs = 15 * 60_000;

/** How long whoever asks has for it, and when the next may ask after one that was not answered. */
const leaseMs = 60_000;
const pauseMs = 10_000;

/** Proxies are answered within four seconds, whatever a provider does. */
const defaultPatienceMs = 2_500;

/** How many sessions are known to be asked about by somebody. */
const rememberedLeases = 10_000;

/** @see the head of this file */
export class Renewals {
  readonly #options: RenewalOptions;
  /** By session: until when somebody else asks, as far as this process knows. Spares the database a try each time. */
  readonly #heldUntil = createLru<string, number>(rememberedLeases);

  constructor(options: RenewalOptions) {
    this.#options = options;
  }

  /** @see Renew */
  readonly renew: Renew = async (session, provider) => {
    const { login } = provider.type;
    if (login?.kind !== "provider" || session.identity === undefined) {
      return { goesOn: false, isOver: true, detail: "its provider lets people in another way by now" };
    }
    const renewalId = newId(this.#options.clock.now());
    const sealedKept = await this.#take(session, renewalId);
    if (sealedKept === undefined) return await this.#goOnBesides(session);
    const known = fromStored(session.identity);
    const asking = this.#ask(session, provider, login, { renewalId, sealedKept, known });
    const renewal = await this.#inTime(asking);
    if (renewal !== undefined) return renewal;
    asking.catch((err: unknown) => this.#options.log.warn({ err }, "a session was asked about in vain"));
    return this.#goOn(session);
  };

  /** Takes the lease, and answers what the provider is asked by; undefined when another has it. */
  async #take(session: GateSession, renewalId: string): Promise<string | undefined> {
    const { database, clock } = this.#options;
    const nowMs = clock.now().getTime();
    const heldUntil = this.#heldUntil.get(session.id) ?? 0;
    if (nowMs < heldUntil && heldUntil <= nowMs + leaseMs + clockSlackMs) return undefined;
    const lease = { renewalId, untilMs: nowMs + leaseMs };
    const limits = { nowMs, aheadMs: nowMs + leaseMs + clockSlackMs };
    const sealedKept = await database.transaction((tx) => store.takeRenewal(tx, session, lease, limits));
    if (sealedKept !== undefined) this.#heldUntil.set(session.id, lease.untilMs);
    return sealedKept;
  }

  async #ask(
    session: GateSession,
    provider: GateProvider,
    login: ProviderLogin,
    { renewalId, sealedKept, known }: TakenRenewal,
  ): Promise<Renewal> {
    const { sealer, openProvider, log } = this.#options;
    const ask = async () => {
      const kept = openKept(sealer, session.id, sealedKept);
      const instance = await openProvider(provider);
      return await login.renew(instance, { kept, identity: known });
    };
    const answer = await ask().catch((err: unknown): ProviderRefusal => {
      log.error({ err, provider: provider.id }, "a provider could not be asked again about a session");
      return { allowed: false, reason: "unavailable", detail: "it failed: see the log" };
    });
    if (!answer.allowed && answer.reason === "unavailable") {
      await this.#rest(session, renewalId);
      return this.#goOn(session, answer.detail);
    }
    if (!answer.allowed) return await this.#end(session, provider, renewalId, answer.detail);
    const { identity, kept, renewAt, sid } = answer;
    // OpenID Connect Core 1.0 §12.2: it has to be the same person.
    if (identity.subject !== session.subject) {
      return await this.#end(
        session,
        provider,
        renewalId,
        "the provider says that it is somebody else's now",
      );
    }
    const renewed: GateSession = { ...session, identity: toStored(identity), renewAt };
    const { database, feed } = this.#options;
    const isThere = await database.transaction(async (tx) => {
      const sealed = kept && sealKept(sealer, session.id, kept);
      if (!(await store.finishRenewal(tx, renewed, renewalId, { sealedKept: sealed, sid }))) return false;
      await feed.append(tx, { topic: "gate-session", subject: session.id });
      return true;
    });
    this.#heldUntil.delete(session.id);
    return isThere ? { goesOn: true, session: renewed } : await this.#goOnBesides(session);
  }

  async #end(
    session: GateSession,
    { instance }: GateProvider,
    renewalId: string,
    detail: string,
  ): Promise<Renewal> {
    const { database, feed, audit } = this.#options;
    await database.transaction(async (tx) => {
      if (!(await store.deleteWhileRenewed(tx, session.id, renewalId))) return;
      await audit.recordOwn(tx, "server", toEndEvent(session, instance.orgId, "renewal_refused"));
      await feed.append(tx, { topic: "gate-session", subject: session.id });
    });
    return { goesOn: false, isOver: true, detail: `its provider does not renew it: ${detail}` };
  }

  /** Lets nobody ask for a short while. */
  async #rest(session: GateSession, renewalId: string): Promise<void> {
    const { database, clock } = this.#options;
    const untilMs = clock.now().getTime() + pauseMs;
    this.#heldUntil.set(session.id, untilMs);
    await database.transaction((tx) => store.restRenewal(tx, session.id, { renewalId, untilMs }));
  }

  /** What goes for a session that another asks about: it goes on, or waits for what they hear. */
  async #goOnBesides(session: GateSession): Promise<Renewal> {
    const { feed, database } = this.#options;
    const { promise: change, resolve } = Promise.withResolvers<true>();
    const unsubscribe = feed.subscribe({
      onChange: ({ topic, subject }) => {
        if (topic === "gate-session" && subject === session.id) resolve(true);
      },
      onReset: () => resolve(true),
    });
    const find = () => store.findGateSession(database.reader, session.id);
    const isOld = (found: GateSession | undefined) =>
      found?.renewAt?.getTime() === session.renewAt?.getTime();
    try {
      let found = await find();
      const isAsked = isOld(found) && found?.lease?.isHeld === true;
      if (isAsked && !this.#mayGoOn(session) && (await this.#inTime(change))) found = await find();
      if (found === undefined) return { goesOn: false, isOver: true, detail: "it was ended" };
      if (!isOld(found)) return { goesOn: true, session: found };
      if (found.lease !== undefined) this.#heldUntil.set(session.id, found.lease.until.getTime());
      return this.#goOn(session);
    } finally {
      unsubscribe();
    }
  }

  /** As it was, for as long as that may be. */
  #goOn(session: GateSession, detail = "its provider has not answered"): Renewal {
    if (!this.#mayGoOn(session)) return { goesOn: false, isOver: false, detail };
    const heldUntil = this.#heldUntil.get(session.id) ?? this.#options.clock.now().getTime() + pauseMs;
    return { goesOn: true, session, until: new Date(Math.min(heldUntil, toOutageEnd(session))) };
  }

  #mayGoOn(session: GateSession): boolean {
    return this.#options.clock.now().getTime() < toOutageEnd(session);
  }

  /** What a promise settles with; undefined when that takes too long. */
  async #inTime<T>(promise: Promise<T>): Promise<T | undefined> {
    const { promise: end, resolve } = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => resolve(undefined), this.#options.patienceMs ?? defaultPatienceMs);
    try {
      return await Promise.race([promise, end]);
    } finally {
      clearTimeout(timer);
    }
  }
}

function toOutageEnd({ renewAt }: GateSession): number {
  return (renewAt?.getTime() ?? 0) + outageMs;
}
