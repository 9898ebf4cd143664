/**
 * Proves people: by the session in a cookie, or by the session that an access
 * token of known good signature was made from. One path for both, so that
 * ending a session ends its tokens.
 *
 * Reads go through caches that the change feed invalidates, and what a good
 * cookie holds is remembered (only good ones: nobody can fill that memory), so
 * that a warm proof costs two look-ups. Every proof asks again whether the session is over and the
 * user enabled; a database that cannot be read refuses.
 */
import { hash } from "node:crypto";
import type { InvalidatedCache } from "../changes/cache.ts";
import type { LastUses } from "../db/write-behind.ts";
import { findCookies } from "../http/node-http.ts";
import { andThen, atOnce, type Soon } from "../lib/at-once.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { createLru } from "../lib/lru.ts";
import { hashSecret } from "../lib/secrets.ts";
import type { TokenSubject } from "../principals/claims.ts";
import { companionCookieName, isFromBrowser, sessionCookieName } from "../principals/presented.ts";
import type { UserPrincipal } from "../principals/principal.ts";
import type { SessionCookies } from "./cookie.ts";
import type { LiveSession } from "./session.ts";

/** Reads committed rows. */
export interface SessionSource {
  findByHash(secretHash: string): Promise<LiveSession | undefined>;
  findById(id: string): Promise<LiveSession | undefined>;
  /** Whether there is a user of this id. */
  isUser(id: string): Promise<boolean>;
}

/** Caches over a {@link SessionSource}: topics `session` and `user`, subjects as {@link sessionSubjects} says. */
export interface SessionCaches {
  readonly byHash: InvalidatedCache<LiveSession>;
  readonly byId: InvalidatedCache<LiveSession>;
}

/** Subjects of changes that drop a session from the caches: for `subjectsOf` of both caches. */
export function sessionSubjects({ id, userId }: LiveSession): readonly string[] {
  return [id, userId];
}

/** Parts that judging a session cookie stands on. */
export interface SessionAuthenticatorOptions {
  readonly cookies: Pick<SessionCookies, "decode">;
  /** Whether cookies are set with a companion that ties them to this host. */
  readonly isBound: boolean;
  readonly source: SessionSource;
  readonly caches: SessionCaches;
  readonly clock: Clock;
  /** Lower case. Whoever proved one of these addresses is a superuser. */
  readonly adminEmails: readonly string[];
  /** Takes note of uses. Must be cheap, and never throw. */
  readonly uses: Pick<LastUses, "note">;
}

/** Proves people. */
export interface SessionAuthenticator {
  /** @throws DomainError NOT_AUTHENTICATED (also for every kind of damaged cookie), PRINCIPAL_DISABLED */
  authenticateCookie(cookie: string): Soon<UserPrincipal>;
  /** By the id of their session, for whoever was let in by it before. @throws DomainError as above */
  authenticateSession(id: string): Promise<UserPrincipal>;
  /** @throws DomainError as above, and USER_NOT_FOUND when the user was deleted. */
  authenticateTokenSubject(subject: TokenSubject): Soon<UserPrincipal>;
  /**
   * The session cookies of a request that count, where they are bound: next to
   * a companion those it belongs to, and without one all, unless a browser made
   * the request. The others are as good as absent: a neighbour may have put
   * them there, to have the browser signed in as somebody else, or to have it
   * refused.
   *
   * @throws DomainError UNAVAILABLE when that cannot be told
   */
  findCookies(header: Headers): readonly string[] | Promise<readonly string[]>;
  /** The live session in a cookie, if there is one; its user may be disabled. */
  findByCookie(cookie: string): Promise<LiveSession | undefined>;
}

/** How many cookies are remembered to have been opened. */
const rememberedCookies = 50_000;

function refuse(detail: string, session?: LiveSession): never {
  throw new DomainError("NOT_AUTHENTICATED", { detail, ...(session && { owner: toOwner(session) }) });
}

function toOwner({ userId, id }: LiveSession) {
  return { type: "user", id: userId, credentialId: id } as const;
}

/** @see {@link SessionAuthenticator} */
export function createSessionAuthenticator(options: SessionAuthenticatorOptions): SessionAuthenticator {
  const { cookies, source, caches, clock, uses } = options;
  const adminEmails = new Set(options.adminEmails);
  /** Cookie → hash of its secret. */
  const opened = createLru<string, string>(rememberedCookies);

  function isOver(session: LiveSession): boolean {
    return clock.now().getTime() >= session.expiresAt.getTime();
  }

  function toPrincipal(
    session: LiveSession,
    proof: Pick<UserPrincipal, "authVia" | "credentialKind" | "tokenId">,
  ): UserPrincipal {
    if (isOver(session)) refuse(`session expired at ${session.expiresAt.toISOString()}`, session);
    if (session.userState === "disabled") {
      throw new DomainError("PRINCIPAL_DISABLED", { detail: "user is disabled", owner: toOwner(session) });
    }
    uses.note({ id: session.id }, session.updatedAt);
    return {
      type: "user",
      id: session.userId,
      superuser: session.emailProven && adminEmails.has(session.email),
      email: session.email,
      emailProven: session.emailProven,
      sessionId: session.id,
      sessionExpiresAt: session.expiresAt,
      ...proof,
    };
  }

  /** The hash under which a cookie's session is stored; undefined for a cookie that is not ours. */
  function openCookie(cookie: string): string | undefined {
    const known = opened.get(cookie);
    if (known !== undefined) return known;
    const secret = cookies.decode(cookie);
    if (secret === undefined) return undefined;
    const secretHash = hash("sha256", secret, "base64url");
    opened.set(cookie, secretHash);
    return secretHash;
  }

  async function findSession(cookie: string): Promise<LiveSession | undefined> {
    const secretHash = openCookie(cookie);
    return secretHash === undefined ? undefined : await findByHash(secretHash);
  }

  /** What is at hand is taken without waiting: a promise costs a warm proof more than a look-up. */
  function findByHash(secretHash: string): LiveSession | Promise<LiveSession | undefined> {
    return caches.byHash.peek(secretHash) ?? caches.byHash.get(secretHash, source.findByHash);
  }

  function findById(id: string): LiveSession | Promise<LiveSession | undefined> {
    return caches.byId.peek(id) ?? caches.byId.get(id, source.findById);
  }

  async function findBound(presented: readonly string[], companion: string): Promise<string[]> {
    const companionHash = hashSecret(companion);
    const bound: string[] = [];
    for (const cookie of presented) {
      if ((await findSession(cookie))?.companionHash === companionHash) bound.push(cookie);
    }
    return bound;
  }

  async function refuseWithoutSession(userId: string): Promise<never> {
    if (!(await source.isUser(userId))) throw new DomainError("USER_NOT_FOUND");
    return refuse("the token's session was ended");
  }

  return {
    findCookies(header) {
      const presented = findCookies(header, sessionCookieName);
      if (presented.length === 0 || !options.isBound) return presented;
      const [companion, ...others] = findCookies(header, companionCookieName);
      if (companion === undefined) return isFromBrowser(header) ? [] : presented;
      // No browser has two of them: whoever made the second may have made the first.
      return others.length > 0 ? [] : findBound(presented, companion);
    },

    authenticateCookie: (cookie) =>
      atOnce(() => {
        const secretHash = openCookie(cookie);
        if (secretHash === undefined) refuse("session cookie is damaged, foreign or of an old key");
        return andThen(findByHash(secretHash), (session) => {
          if (session === undefined) refuse("session was ended");
          return toPrincipal(session, { authVia: "session", credentialKind: "session" });
        });
      }),

    async authenticateSession(id) {
      const session = await findById(id);
      if (session === undefined) refuse("session was ended");
      return toPrincipal(session, { authVia: "session", credentialKind: "session" });
    },

    authenticateTokenSubject: ({ id: userId, credentialId: sessionId, authVia, tokenId }) =>
      atOnce(() =>
        andThen(findById(sessionId), (session) =>
          session?.userId === userId
            ? toPrincipal(session, { authVia, credentialKind: "access_token", tokenId })
            : refuseWithoutSession(userId),
        ),
      ),

    async findByCookie(cookie) {
      const session = await findSession(cookie);
      return session === undefined || isOver(session) ? undefined : session;
    },
  };
}
