/** The sessions room over a database, put together as the server does it. For tests only. */
import type { AuditEvent, AuditRefusal, AuditTrail } from "../audit/audit.ts";
import { InvalidatedCache } from "../changes/cache.ts";
import { ChangeFeed } from "../changes/feed.ts";
import type { OpenDatabase } from "../db/kysely-database.ts";
import { createLastUses, type LastUses } from "../db/write-behind.ts";
import type { Clock } from "../lib/clock.ts";
import { newId } from "../lib/ids.ts";
import { silentLog } from "../lib/log.ts";
import { findUser, findUserByEmail, insertUser } from "../users/store.ts";
import { createSessionAuthenticator, type SessionAuthenticator, sessionSubjects } from "./authenticator.ts";
import { createSessionCookies, type SessionCookies } from "./cookie.ts";
import { KnownBrowsers } from "./known-browsers.ts";
import { SessionService } from "./service.ts";
import type { Device } from "./session.ts";
import { findLiveSession, findLiveSessionByHash, touchSessions } from "./store.ts";

/** What a test works with. */
export interface SessionParts {
  readonly feed: ChangeFeed;
  readonly cookies: SessionCookies;
  readonly knownBrowsers: KnownBrowsers;
  readonly sessions: SessionService;
  readonly authenticator: SessionAuthenticator;
  readonly uses: LastUses;
  readonly audit: AuditTrail;
  /** What the audit trail was handed, refusals included. */
  readonly events: (AuditEvent | AuditRefusal)[];
  /** Who was told that how many of their sessions were ended. */
  readonly told: (readonly [email: string, count: number])[];
  close(): Promise<void>;
}

export const unknownDevice: Device = {
  operatingSystem: "",
  browser: "",
  ipAddress: "",
  city: "",
  country: "",
  latitude: "",
  longitude: "",
};

/** The headers that tell of a device, as they are called unless the configuration says otherwise. */
export const deviceHeaders = {
  clientIp: "x-forwarded-for",
  clientCountry: "x-frontier-country",
  clientCity: "x-frontier-city",
  clientLatitude: "x-frontier-latitude",
  clientLongitude: "x-frontier-longitude",
  clientUserAgent: "user-agent",
};

/** Builds the room, following the feed. */
export async function openSessions(
  database: OpenDatabase,
  clock: Clock,
  adminEmails: readonly string[] = [],
  isBound = false,
): Promise<SessionParts> {
  const feed = new ChangeFeed({ database, clock, log: silentLog });
  await feed.start();
  const events: (AuditEvent | AuditRefusal)[] = [];
  const told: (readonly [string, number])[] = [];
  const onRevoke = (email: string, count: number) => void told.push([email, count]);
  const audit: AuditTrail = {
    record: async (_tx, _caller, event) => void events.push(event),
    recordOwn: async (_tx, _agent, event) => void events.push(event),
    note: (_caller, event) => void events.push(event),
    refuse: (_request, refusal) => void events.push(refusal),
  };
  const cookies = createSessionCookies({
    hashKeys: ["hash".padEnd(32, "-")],
    blockKeys: ["block".padEnd(32, "-")],
    host: "id.example.org",
    domain: undefined,
    sameSite: "lax",
    secure: true,
    isBound,
  });
  const knownBrowsers = new KnownBrowsers({ clock, secure: true, crossSite: false, findUserByEmail });
  const cache = { feed, topics: ["session", "user"], maxEntries: 100, subjectsOf: sessionSubjects } as const;
  const uses = createLastUses({ database, clock, log: silentLog }, "sessions", touchSessions);
  return {
    feed,
    cookies,
    knownBrowsers,
    events,
    told,
    audit,
    uses,
    sessions: new SessionService({
      database,
      feed,
      audit,
      clock,
      cookies,
      knownBrowsers,
      validitySeconds: 3600,
      onRevoke,
    }),
    authenticator: createSessionAuthenticator({
      cookies,
      isBound,
      source: {
        findByHash: (secretHash) => findLiveSessionByHash(database.reader, secretHash),
        findById: (id) => findLiveSession(database.reader, id),
        isUser: async (id) => (await findUser(database.reader, id)) !== undefined,
      },
      caches: { byHash: new InvalidatedCache(cache), byId: new InvalidatedCache(cache) },
      clock,
      adminEmails,
      uses,
    }),
    async close() {
      await uses.flush();
      await feed.stop();
    },
  };
}

/** Stores a user and answers their id and address. */
export async function addUser(
  database: OpenDatabase,
  { emailProven = true, email }: { emailProven?: boolean; email?: string } = {},
): Promise<{ id: string; email: string }> {
  const now = new Date();
  const id = newId(now);
  const user = { id, name: id, title: "", email: email ?? `${id}@example.org`, metadata: {}, avatar: "" };
  await database.transaction((tx) =>
    insertUser(tx, { ...user, emailProven, state: "enabled", createdAt: now, updatedAt: now }),
  );
  return { id, email: user.email };
}

/** What the edge knows of a request. */
export function newRequestInfo() {
  const userAgent = "";
  return { requestId: "r", clientAddress: "192.0.2.1", fromTrustedProxy: false, userAgent, outcome: {} };
}
