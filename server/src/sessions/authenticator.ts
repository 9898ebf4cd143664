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
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { createLru } from "../lib/lru.ts";
import type { AuthVia, UserPrincipal } from "../principals/principal.ts";
import type { SessionCookies } from "./cookie.ts";
import type { LiveSession } from "./session.ts";
import { touchEveryMs } from "./touches.ts";

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

/** What a cached session depends on: for `subjectsOf` of both caches. */
export function sessionSubjects({ id, userId }: LiveSession): readonly string[] {
  return [id, userId];
}

export interface SessionAuthenticatorOptions {
  readonly cookies: Pick<SessionCookies, "decode">;
  readonly source: SessionSource;
  readonly caches: SessionCaches;
  readonly clock: Clock;
  /** Lower case. Whoever proved one of these addresses is a superuser. */
  readonly adminEmails: readonly string[];
  /** Takes note of uses, at most one a minute and session. Must be cheap, and never throw. */
  readonly touches: { record(id: string, at: Date): void };
}

/** What an access token says of its user. */
export interface UserTokenSubject {
  readonly userId: string;
  readonly sessionId: string;
  readonly authVia: AuthVia;
  readonly tokenId: string;
}

/** Proves people. */
export interface SessionAuthenticator {
  /** @throws DomainError NOT_AUTHENTICATED (also for every kind of damaged cookie), PRINCIPAL_DISABLED */
  authenticateCookie(cookie: string): Promise<UserPrincipal>;
  /** @throws DomainError as above, and USER_NOT_FOUND when the user was deleted. */
  authenticateTokenSubject(subject: UserTokenSubject): Promise<UserPrincipal>;
  /** The live session in a cookie, if there is one; its user may be disabled. */
  findByCookie(cookie: string): Promise<LiveSession | undefined>;
}

/** How many sessions are remembered to have been noted as used, and how many cookies to have been opened. */
const rememberedTouches = 50_000;
const rememberedCookies = 50_000;

function refuse(detail: string, session?: LiveSession): never {
  throw new DomainError("NOT_AUTHENTICATED", { detail, ...(session && { owner: toOwner(session) }) });
}

function toOwner({ userId, id }: LiveSession) {
  return { type: "user", id: userId, credentialId: id } as const;
}

/** @see {@link SessionAuthenticator} */
export function createSessionAuthenticator(options: SessionAuthenticatorOptions): SessionAuthenticator {
  const { cookies, source, caches, clock, touches } = options;
  const adminEmails = new Set(options.adminEmails);
  const touched = createLru<string, number>(rememberedTouches);
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
    noteUse(session);
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

  function noteUse({ id, updatedAt }: LiveSession): void {
    const now = clock.now();
    const lastMs = touched.get(id) ?? updatedAt.getTime();
    if (now.getTime() - lastMs < touchEveryMs) return;
    touched.set(id, now.getTime());
    touches.record(id, now);
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

  return {
    async authenticateCookie(cookie) {
      const secretHash = openCookie(cookie);
      if (secretHash === undefined) refuse("session cookie is damaged, foreign or of an old key");
      const session = await caches.byHash.get(secretHash, source.findByHash);
      if (session === undefined) refuse("session was ended");
      return toPrincipal(session, { authVia: "session", credentialKind: "session" });
    },

    async authenticateTokenSubject({ userId, sessionId, authVia, tokenId }) {
      const session = await caches.byId.get(sessionId, source.findById);
      if (session === undefined || session.userId !== userId) {
        if (!(await source.isUser(userId))) throw new DomainError("USER_NOT_FOUND");
        refuse("the token's session was ended");
      }
      return toPrincipal(session, { authVia, credentialKind: "access_token", tokenId });
    },

    async findByCookie(cookie) {
      const secretHash = openCookie(cookie);
      if (secretHash === undefined) return undefined;
      const session = await caches.byHash.get(secretHash, source.findByHash);
      return session === undefined || isOver(session) ? undefined : session;
    },
  };
}
