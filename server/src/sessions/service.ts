/**
 * Sessions: the rules.
 *
 * This room owns the rows and the cookie. Who may begin a session is for
 * `auth/` to say; from then on it lasts until it expires, whatever happens, or
 * is revoked: at once here, within a second in every other process.
 */
import { hash } from "node:crypto";
import type { AuditTrail } from "../audit/audit.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { Change } from "../changes/topics.ts";
import type { Database, Tx } from "../db/database.ts";
import { toBase64url } from "../lib/base64url.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { hashSecret } from "../lib/secrets.ts";
import { type Caller, requireSuperuser, type UserPrincipal } from "../principals/principal.ts";
import type { SessionCookies } from "./cookie.ts";
import type { KnownBrowsers } from "./known-browsers.ts";
import { type Device, type LiveSession, type Session, sessionsPerUser } from "./session.ts";
import * as store from "./store.ts";

/** Parts that sessions stand on, and how long one lives. */
export interface SessionServiceOptions {
  readonly database: Database;
  readonly feed: Pick<ChangeFeed, "append">;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly cookies: Pick<SessionCookies, "newSecret" | "encode">;
  readonly knownBrowsers: Pick<KnownBrowsers, "remember" | "forget">;
  readonly validitySeconds: number;
  /** Tells an owner how many of their sessions somebody else has ended. Best effort: must not throw. */
  readonly onRevoke: (email: string, count: number) => void;
}

/** A sign-in that has been proven. */
export interface NewSession {
  readonly userId: string;
  /** Name of the strategy that proved it. */
  readonly strategy: string;
  readonly device: Device;
  /** Keys by which accounts know the browser, as it sent them. */
  readonly browserKeys: readonly string[];
  /** Sessions whose place it takes; one of the same person lives on by it. */
  readonly replaces: readonly LiveSession[];
}

/** A session just begun, or just proven anew. */
export interface BegunSession {
  readonly session: Session;
  /** Values of its cookie and of the companion. Known now and never again. */
  readonly cookie: string;
  readonly companion: string;
  /** The key by which the account knows the browser from now on. */
  readonly browserKey: string;
  /** To be appended to the feed at the end of the transaction. */
  readonly changes: readonly Change[];
}

/** What outlives the end of all sessions. */
interface Kept {
  readonly sessionId?: string;
  /** Of browsers that stay known. */
  readonly browserKeys?: readonly string[];
}

/** @see the head of this file */
export class SessionService {
  readonly #database: Database;
  readonly #feed: Pick<ChangeFeed, "append">;
  readonly #audit: AuditTrail;
  readonly #clock: Clock;
  readonly #cookies: SessionServiceOptions["cookies"];
  readonly #knownBrowsers: SessionServiceOptions["knownBrowsers"];
  readonly #validitySeconds: number;
  readonly #onRevoke: SessionServiceOptions["onRevoke"];

  constructor(options: SessionServiceOptions) {
    this.#database = options.database;
    this.#feed = options.feed;
    this.#audit = options.audit;
    this.#clock = options.clock;
    this.#cookies = options.cookies;
    this.#knownBrowsers = options.knownBrowsers;
    this.#validitySeconds = options.validitySeconds;
    this.#onRevoke = options.onRevoke;
  }

  /**
   * Begins a session with `tx`, and ends those it replaces and the user's
   * oldest beyond {@link sessionsPerUser}. The account knows the browser from
   * then on. The caller records it, and appends the changes.
   *
   * Of a person who is among those that it replaces the latest one goes on
   * under its id, with what hangs on it, by other secrets: who holds the old
   * ones is out everywhere at once.
   */
  async begin(
    tx: Tx,
    { userId, strategy, device, browserKeys, replaces }: NewSession,
  ): Promise<BegunSession> {
    const now = this.#clock.now();
    const secret = this.#cookies.newSecret();
    const expiresAt = new Date(now.getTime() + this.#validitySeconds * 1000);
    const companion = toBase64url(this.#cookies.newSecret());
    const origin = {
      secretHash: hash("sha256", secret, "base64url"),
      companionHash: hashSecret(companion),
      strategy,
    };
    const proven = { userId, device, authenticatedAt: now, updatedAt: now, expiresAt };
    const session =
      (await renewOwn(tx, replaces, proven, origin)) ??
      (await store.insertSession(tx, { ...proven, id: newId(now), createdAt: now }, origin));
    const oldest = await store.findSessionsBeyond(tx, userId, sessionsPerUser);
    const others = [...replaces, ...oldest.map((id) => ({ id, userId }))].filter(
      ({ id }) => id !== session.id,
    );
    for (const each of others) await store.deleteSession(tx, each.id, each.userId);
    const changed = new Set([...replaces, ...others].map(({ id }) => id));
    return {
      session,
      cookie: this.#cookies.encode(secret),
      companion,
      browserKey: await this.#knownBrowsers.remember(tx, userId, browserKeys),
      changes: [...changed].map((id) => ({ topic: "session", subject: id })),
    };
  }

  /**
   * Ends all sessions of a user with `tx`, and has their account forget the
   * browsers that it knows. The caller records it, and appends the changes.
   */
  async endAll(tx: Tx, userId: string, keep: Kept = {}): Promise<readonly Change[]> {
    const ids = await store.deleteSessions(tx, userId, keep.sessionId);
    await this.#knownBrowsers.forget(tx, userId, keep.browserKeys ?? []);
    return ids.map((id) => ({ topic: "session", subject: id }));
  }

  /** The caller's live sessions, newest first. @throws DomainError NOT_AUTHORIZED */
  async list(caller: Caller): Promise<Session[]> {
    return await store.findSessions(this.#database.reader, requireUser(caller).id, this.#clock.now());
  }

  /** Ends one of the caller's sessions. @throws DomainError NOT_AUTHORIZED, SESSION_NOT_FOUND */
  async revoke(caller: Caller, sessionId: string): Promise<void> {
    const { id: userId } = requireUser(caller);
    const id = sessionId.toLowerCase();
    await this.#database.transaction(async (tx) => {
      if (!(await store.deleteSession(tx, id, userId))) throw new DomainError("SESSION_NOT_FOUND");
      await this.#audit.record(tx, caller, { action: "session.revoke", target: id });
      await this.#feed.append(tx, { topic: "session", subject: id });
    });
  }

  /**
   * Ends the caller's sessions, all or all but the current one. Of the browsers
   * that the account knows the asking one stays known. Answers how many.
   *
   * @throws DomainError NOT_AUTHORIZED
   */
  async revokeAll(caller: Caller, keepCurrent: boolean, browserKeys: readonly string[]): Promise<number> {
    const { id: userId, sessionId } = requireUser(caller);
    return await this.#database.transaction(async (tx) => {
      const changes = await this.endAll(tx, userId, { browserKeys, ...(keepCurrent && { sessionId }) });
      return await this.#recordEnded(tx, caller, userId, changes);
    });
  }

  async #recordEnded(tx: Tx, caller: Caller, userId: string, changes: readonly Change[]): Promise<number> {
    await this.#audit.record(tx, caller, {
      action: "session.revoke_all",
      target: userId,
      details: { revoked: String(changes.length) },
    });
    await this.#feed.append(tx, ...changes);
    return changes.length;
  }

  /** A user's live sessions, newest first. @throws DomainError NOT_AUTHORIZED, USER_NOT_FOUND */
  async listOf(caller: Caller, userId: string): Promise<Session[]> {
    requireSuperuser(caller);
    const id = userId.toLowerCase();
    const { reader } = this.#database;
    if ((await store.findUserEmail(reader, id)) === undefined) throw new DomainError("USER_NOT_FOUND");
    return await store.findSessions(reader, id, this.#clock.now());
  }

  /** Ends anybody's session, and tells its owner. @throws DomainError NOT_AUTHORIZED, SESSION_NOT_FOUND */
  async revokeAny(caller: Caller, sessionId: string): Promise<void> {
    requireSuperuser(caller);
    const id = sessionId.toLowerCase();
    const owner = await this.#database.transaction(async (tx) => {
      const { userId, email, expiresAt } = (await store.findLiveSession(tx, id)) ?? {};
      const isLive = expiresAt !== undefined && expiresAt > this.#clock.now();
      if (userId === undefined || !isLive || !(await store.deleteSession(tx, id, userId))) {
        throw new DomainError("SESSION_NOT_FOUND");
      }
      const details = { session: id };
      await this.#audit.record(tx, caller, { action: "user.revoke_session", target: userId, details });
      await this.#feed.append(tx, { topic: "session", subject: id });
      return email;
    });
    if (owner !== undefined) this.#onRevoke(owner, 1);
  }

  /** Ends all sessions of a user, tells them, and answers how many. @throws DomainError NOT_AUTHORIZED, USER_NOT_FOUND */
  async revokeAllOf(caller: Caller, userId: string): Promise<number> {
    requireSuperuser(caller);
    const id = userId.toLowerCase();
    const { email, revoked } = await this.#database.transaction(async (tx) => {
      const email = await store.findUserEmail(tx, id);
      if (email === undefined) throw new DomainError("USER_NOT_FOUND");
      return { email, revoked: await this.#recordEnded(tx, caller, id, await this.endAll(tx, id)) };
    });
    if (revoked > 0) this.#onRevoke(email, revoked);
    return revoked;
  }

  /** Ends a session because its owner signs out. Does nothing when it is over already. */
  async signOut(caller: Caller & { readonly principal: UserPrincipal }): Promise<void> {
    const { id: userId, sessionId } = caller.principal;
    await this.#database.transaction(async (tx) => {
      if (!(await store.deleteSession(tx, sessionId, userId))) return;
      await this.#audit.record(tx, caller, {
        action: "session.sign_out",
        target: sessionId,
      });
      await this.#feed.append(tx, { topic: "session", subject: sessionId });
    });
  }

  /** Notes device and place of the caller's session anew. @throws DomainError NOT_AUTHORIZED, SESSION_NOT_FOUND */
  async ping(caller: Caller, device: Device): Promise<Device> {
    const { sessionId } = requireUser(caller);
    const isThere = await this.#database.transaction((tx) =>
      store.updateDevice(tx, sessionId, device, this.#clock.now()),
    );
    if (!isThere) throw new DomainError("SESSION_NOT_FOUND");
    return device;
  }
}

/** The latest of these sessions that is the same person's, renewed; undefined when there is none, or none any more. */
async function renewOwn(
  tx: Tx,
  sessions: readonly LiveSession[],
  proven: Omit<Session, "id" | "createdAt">,
  origin: store.SessionOrigin,
): Promise<Session | undefined> {
  const [latest] = sessions
    .filter(({ userId }) => userId === proven.userId)
    .toSorted((one, other) => other.authenticatedAt.getTime() - one.authenticatedAt.getTime());
  return latest && (await store.renewSession(tx, latest.id, proven, origin));
}

function requireUser({ principal }: Caller): UserPrincipal {
  if (principal.type === "user") return principal;
  throw new DomainError("NOT_AUTHORIZED", { detail: "only people have sessions" });
}
