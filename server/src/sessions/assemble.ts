import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";
import { UserService } from "@vestibule/proto/vestibule/v1/user_service_pb";
import type { Room } from "../assembly/room.ts";
import { registerService } from "../assembly/services.ts";
import type { AuditTrail } from "../audit/audit.ts";
import { InvalidatedCache } from "../changes/cache.ts";
import { listCacheMetrics } from "../changes/cache-metrics.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { SessionConfig } from "../config/config.ts";
import type { Secrets } from "../config/data-dir.ts";
import type { Database, Tx } from "../db/database.ts";
import { createExpirySweep } from "../db/sweep.ts";
import { createLastUses } from "../db/write-behind.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { TokenSubjects } from "../principals/claims.ts";
import type { KindJudges } from "../principals/judge.ts";
import {
  createSessionAuthenticator,
  type SessionAuthenticator,
  type SessionCaches,
  type SessionSource,
  sessionSubjects,
} from "./authenticator.ts";
import { createSessionCookies, type SessionCookies } from "./cookie.ts";
import { createSessionMethods, createUserSessionMethods } from "./handler.ts";
import { deleteForgottenBrowsers } from "./known-browser-store.ts";
import { KnownBrowsers, type KnownBrowsersOptions } from "./known-browsers.ts";
import { SessionService, type SessionServiceOptions } from "./service.ts";
import type { LiveSession } from "./session.ts";
import {
  deleteExpiredSessions,
  deleteSession,
  findLiveSession,
  findLiveSessionByHash,
  holdSession,
  touchSessions,
} from "./store.ts";

/** Bound of each cache: entries, not bytes. */
const cachedSessions = 50_000;

/** Parts that sessions are built from. */
export interface SessionParts
  extends Pick<SessionSource, "isUser">,
    Pick<SessionServiceOptions, "onRevoke">,
    Pick<KnownBrowsersOptions, "findUserByEmail"> {
  readonly database: Database;
  readonly feed: ChangeFeed;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly log: Log;
  readonly session: SessionConfig;
  readonly secrets: Secrets;
  /** Origin that browsers see. */
  readonly publicUrl: string;
  /** Lower case. Whoever proved one of these addresses is a superuser. */
  readonly adminEmails: readonly string[];
}

/** What others ask of sessions. */
export interface SessionsRoom extends Room {
  readonly sessions: SessionService;
  readonly cookies: SessionCookies;
  readonly knownBrowsers: KnownBrowsers;
  readonly authenticator: SessionAuthenticator;
  readonly judges: Pick<KindJudges, "session">;
  /** Whose an access token of a person is. */
  readonly subjects: Pick<TokenSubjects, "app/user">;
  find(id: string): Promise<LiveSession | undefined>;
  /** Whether a user's session is still there, until `tx` ends. */
  hold(tx: Tx, id: string, userId: string): Promise<boolean>;
  /** Removes the row of a user's session; does nothing when it is gone. */
  delete(tx: Tx, id: string, userId: string): Promise<unknown>;
}

/** Puts sessions together: their cookies, their rules and their proof. */
export function assembleSessions(parts: SessionParts): SessionsRoom {
  const { database, feed, clock, session, isUser } = parts;
  const { reader } = database;
  const cookies = createCookies(parts);
  const knownBrowsers = new KnownBrowsers({
    ...parts,
    secure: parts.publicUrl.startsWith("https:"),
    crossSite: session.sameSite === "none",
  });
  const uses = createLastUses(parts, "sessions", touchSessions);
  const caches = createCaches(feed);
  const find = (id: string) => findLiveSession(reader, id);
  const sessions = new SessionService({
    ...parts,
    cookies,
    knownBrowsers,
    validitySeconds: session.validitySeconds,
  });
  const authenticator = createSessionAuthenticator({
    cookies,
    isBound: session.isBound,
    source: {
      findByHash: (secretHash) => findLiveSessionByHash(reader, secretHash),
      findById: find,
      isUser,
    },
    caches,
    clock,
    adminEmails: parts.adminEmails,
    uses,
  });
  return {
    sessions,
    cookies,
    knownBrowsers,
    find,
    hold: holdSession,
    delete: deleteSession,
    authenticator,
    judges: {
      session: async ({ cookie }) => ({ principal: await authenticator.authenticateCookie(cookie) }),
    },
    subjects: { "app/user": authenticator.authenticateTokenSubject },
    services: [
      registerService(
        AuthService,
        createSessionMethods({ sessions, cookies, knownBrowsers, deviceHeaders: session.headers }),
      ),
      registerService(UserService, createUserSessionMethods(sessions)),
    ],
    metrics: listCacheMetrics({ sessions_by_secret: caches.byHash, sessions_by_id: caches.byId }),
    sweeps: [
      { kind: "sessions", run: createExpirySweep(database, clock, deleteExpiredSessions) },
      { kind: "known_browsers", run: createExpirySweep(database, clock, deleteForgottenBrowsers) },
    ],
    closing: [{ name: "last uses of sessions", moment: "writes", ms: 2_000, run: () => uses.flush() }],
  };
}

function createCookies({ secrets, session, publicUrl }: SessionParts): SessionCookies {
  return createSessionCookies({
    hashKeys: [secrets.sessionHashKey, ...secrets.previousSessionHashKeys],
    blockKeys: [secrets.sessionBlockKey, ...secrets.previousSessionBlockKeys],
    host: new URL(publicUrl).hostname,
    domain: session.domain,
    sameSite: session.sameSite,
    secure: session.secure,
    isBound: session.isBound,
  });
}

function createCaches(feed: ChangeFeed): SessionCaches {
  const options = {
    feed,
    topics: ["session", "user"],
    maxEntries: cachedSessions,
    subjectsOf: sessionSubjects,
  } as const;
  return { byHash: new InvalidatedCache(options), byId: new InvalidatedCache(options) };
}
