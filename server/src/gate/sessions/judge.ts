/**
 * Whether the session in a cookie lets somebody in at a frontend, and as whom.
 *
 * It is good at its own frontend and host alone, for as long as the frontend's
 * policy says now, and while its provider is accepted there, enabled, and the
 * one that it was when it proved them. Of whom it is, nothing is believed that
 * can be told now: by `VESTIBULE` all of it is read from the person's own
 * session, and of others what the provider said is held against its rules as
 * they are, and asked again once its time has come.
 */
import type { InvalidatedCache } from "../../changes/cache.ts";
import type { LastUses } from "../../db/write-behind.ts";
import type { ProviderIdentity, ProviderRefusal } from "../../frontdoor/provider-types/provider-type.ts";
import type { Clock } from "../../lib/clock.ts";
import { hashSecret } from "../../lib/secrets.ts";
import type { GateFrontend, GateProvider } from "../directory/frontend.ts";
import { fromStored, type GateSession } from "./gate-session.ts";
import type { Renew } from "./renewals.ts";

/** What a session in a cookie comes to. */
export type SessionJudgement =
  | {
      readonly isGood: true;
      readonly provider: GateProvider;
      /** Ends with the session. */
      readonly identity: ProviderIdentity;
      /** Until when it need not be judged again. */
      readonly until: Date;
      /** Whether a visit of its holder has to renew it: good for all but visits. */
      readonly isDue: boolean;
      readonly session: GateSession;
    }
  | {
      readonly isGood: false;
      /**
       * `unfit`: there is one, and it is not for this place, or its holder is not
       * let in any more. `due`: a visit of its holder has to renew it.
       */
      readonly refusal: "ended" | "unfit" | "due" | "unavailable";
      /** For operators; never a secret. */
      readonly detail: string;
      /** Where there is one that its provider has to be asked about. */
      readonly session?: GateSession;
    };

/** Judges a session in a cookie. Rejects when the database cannot be read. */
export type JudgeSession = (
  frontend: GateFrontend,
  host: string,
  cookie: string,
) => Promise<SessionJudgement>;

/** What judging stands on. */
export interface SessionJudgeOptions {
  /** By the hash of a cookie. Topics `gate-session` and `session`, with the ids of both as subjects. */
  readonly cache: InvalidatedCache<GateSession>;
  /** Reads the database when it is called. */
  readonly findByHash: (secretHash: string) => Promise<GateSession | undefined>;
  /** Absent where nothing may come of judging: what would be renewed is good then. */
  readonly renew?: Renew;
  readonly uses: Pick<LastUses, "note">;
  readonly clock: Clock;
}

/** Why a session lets nobody in. */
type SessionRefusal = Extract<SessionJudgement, { readonly isGood: false }>["refusal"];

/** How long what a page asks for goes on without a visit that renews the session. */
const dueMs = 3_600_000;

/** Whether a cookie may be a session's: the others are looked up nowhere. */
export function isSessionCookie(value: string): boolean {
  return /^[\w-]{43}$/.test(value);
}

/** @see the head of this file */
export function createJudgeSession(options: SessionJudgeOptions): JudgeSession {
  const { cache, findByHash, renew, uses, clock } = options;

  async function find(cookie: string): Promise<GateSession | undefined> {
    if (!isSessionCookie(cookie)) return undefined;
    return await cache.get(hashSecret(cookie), findByHash);
  }

  /** The session as its provider says, if that has to be asked. */
  async function findFresh(session: GateSession, provider: GateProvider): Promise<Fresh> {
    const { renewAt, isRenewable } = session;
    const now = clock.now();
    if (renewAt === undefined || now < renewAt) return { goesOn: true, session, until: renewAt };
    if (!isRenewable) {
      const until = new Date(renewAt.getTime() + dueMs);
      if (now < until) return { goesOn: true, session, until, isDue: true };
      return { goesOn: false, refusal: "due", detail: "nobody has opened a page to renew it by" };
    }
    if (renew === undefined) return { goesOn: true, session };
    const renewal = await renew(session, provider);
    if (!renewal.goesOn) {
      return { goesOn: false, refusal: renewal.isOver ? "ended" : "unavailable", detail: renewal.detail };
    }
    return { goesOn: true, session: renewal.session, until: renewal.until ?? renewal.session.renewAt };
  }

  return async (frontend, host, cookie) => {
    const session = await find(cookie);
    if (session === undefined) return refuse("ended", "no session has this cookie, or none any more");
    const place = findPlaceRefusal(session, frontend, host);
    if (place !== undefined) return place;
    const endsAt = findEnd(session, frontend);
    if (clock.now() >= endsAt) return refuse("ended", `it ended at ${endsAt.toISOString()}`);
    const provider = frontend.logins.find(({ id }) => id === session.providerId);
    if (provider === undefined)
      return refuse("ended", "its provider lets nobody in here by browser any more");
    if (session.providerRevision < provider.sessionsFrom) {
      return refuse("ended", "its provider was disabled since, or is another one by now");
    }
    const renewal = await findFresh(session, provider);
    if (!renewal.goesOn) return { ...refuse(renewal.refusal, renewal.detail), session };
    const decision = await decideOn(renewal.session, provider);
    if (!decision.allowed) {
      return refuse(decision.reason === "unavailable" ? "unavailable" : "unfit", decision.detail);
    }
    const { identity } = decision;
    const expiresAt = earlier(endsAt, identity.expiresAt);
    return {
      isGood: true,
      provider,
      session: renewal.session,
      until: earlier(expiresAt, renewal.until),
      isDue: renewal.isDue === true,
      identity: {
        ...identity,
        expiresAt,
        dependsOn: [...identity.dependsOn, session.id],
        noteUse: () => uses.note({ id: session.id }, session.lastUsedAt),
      },
    };
  };
}

/** A session that is as new as can be. */
type Fresh =
  | {
      readonly goesOn: true;
      readonly session: GateSession;
      readonly until?: Date | undefined;
      readonly isDue?: true;
    }
  | { readonly goesOn: false; readonly refusal: "ended" | "due" | "unavailable"; readonly detail: string };

type Decision = { readonly allowed: true; readonly identity: ProviderIdentity } | ProviderRefusal;

async function decideOn(session: GateSession, { type, instance }: GateProvider): Promise<Decision> {
  const { login } = type;
  const { parentId, identity } = session;
  if (login?.kind === "own" && parentId !== undefined) return await login.judge(instance, parentId);
  if (login?.kind === "provider" && identity !== undefined) {
    return login.admit(instance, fromStored(identity));
  }
  return { allowed: false, reason: "wrong_kind", detail: "its provider lets people in another way by now" };
}

function findPlaceRefusal(session: GateSession, { id }: GateFrontend, host: string) {
  if (session.frontendId !== id) return refuse("unfit", "it is of another frontend");
  return session.host === host ? undefined : refuse("unfit", "it is of another host");
}

/** A policy that was tightened since counts. */
function findEnd({ createdAt, expiresAt }: GateSession, { sessionMaxAge }: GateFrontend): Date {
  return earlier(expiresAt, new Date(createdAt.getTime() + sessionMaxAge * 1000));
}

function earlier(one: Date, other: Date | undefined): Date {
  return other !== undefined && other < one ? other : one;
}

function refuse(refusal: SessionRefusal, detail: string) {
  return { isGood: false, refusal, detail } as const;
}
