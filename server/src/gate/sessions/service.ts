/**
 * Sessions at custom frontends: how they begin and end.
 *
 * Who may begin one, `gate/login` says. By `VESTIBULE` a session is a child of
 * the person's own, and ends with it, however that ends: the database removes
 * it with its parent. All others belong to a provider and whoever that
 * provider proved. Managers of the frontdoor see and end them, and people their
 * own.
 */
import { randomBytes } from "node:crypto";
import type { AuditTrail } from "../../audit/audit.ts";
import type { ChangeFeed } from "../../changes/feed.ts";
import type { Change } from "../../changes/topics.ts";
import type { Database, Tx } from "../../db/database.ts";
import type { Sealer } from "../../encryption/sealer.ts";
import type { FrontdoorAccess } from "../../frontdoor/frontdoors/access.ts";
import { findFrontdoor } from "../../frontdoor/frontdoors/store.ts";
import { getProviderIn } from "../../frontdoor/providers/service.ts";
import { toBase64url } from "../../lib/base64url.ts";
import type { Clock } from "../../lib/clock.ts";
import { DomainError } from "../../lib/errors.ts";
import { newId } from "../../lib/ids.ts";
import { type Page, type PageRequest, toPageById } from "../../lib/page-token.ts";
import { hashSecret } from "../../lib/secrets.ts";
import type { Caller, UserPrincipal } from "../../principals/principal.ts";
import { sealKept } from "./columns.ts";
import { forgetConfirmation } from "./confirmation-store.ts";
import { type GateSession, type NewGateSession, sessionsPerSubject, toStored } from "./gate-session.ts";
import { toEndEvent } from "./records.ts";
import * as store from "./store.ts";

/** Parts that sessions at frontends stand on. */
export interface GateSessionServiceOptions {
  readonly database: Database;
  readonly feed: Pick<ChangeFeed, "append">;
  readonly audit: Pick<AuditTrail, "record" | "recordOwn">;
  readonly frontdoorAccess: FrontdoorAccess;
  readonly sealer: Sealer;
  readonly clock: Clock;
  /** Ends with `tx` the ways in of those who are proven and not in yet: they would be in by what has ended. */
  readonly endWaysIn: (tx: Tx, isMeant: (proven: ProvenHolder) => boolean) => Promise<void>;
}

/** Somebody whom a provider has proven, who is not let in yet. */
export interface ProvenHolder {
  readonly providerId: string;
  readonly subject: string;
  readonly sid?: string;
}

/** A session just begun. */
export interface BegunGateSession {
  readonly session: GateSession;
  /** Value of its cookie. Known now and never again. */
  readonly cookie: string;
  /** To be appended to the feed at the end of the transaction. */
  readonly changes: readonly Change[];
}

/** Whose sessions are meant. */
export interface GateSessionHolder {
  readonly frontdoorId: string;
  readonly providerId: string;
  readonly subject: string;
}

/** Whose sessions are meant, in all or by the provider's own name for one; one of both is there at least. */
type HolderFilter = Pick<store.GateSessionFilter, "subject" | "sid"> & { readonly providerId: string };

/** Most sessions that a person is shown of their own. */
const mostOwn = 1000;

/** @see the head of this file */
export class GateSessionService {
  readonly #options: GateSessionServiceOptions;

  constructor(options: GateSessionServiceOptions) {
    this.#options = options;
  }

  /**
   * Begins a session with `tx`, and ends its holder's oldest beyond
   * {@link sessionsPerSubject}. The caller records it, and appends the changes.
   *
   * @throws an error of the database when the parent has ended meanwhile
   */
  async begin(tx: Tx, begun: NewGateSession): Promise<BegunGateSession> {
    const { sealer, clock } = this.#options;
    const now = clock.now();
    const cookie = toBase64url(randomBytes(32));
    const { renews } = begun;
    const session = toSession(begun, renews ?? newId(now), now);
    const secrets = {
      secretHash: hashSecret(cookie),
      ...(begun.kept && { sealedKept: sealKept(sealer, session.id, begun.kept) }),
      ...(begun.sid !== undefined && { sid: begun.sid }),
    };
    if (renews !== undefined) {
      const renewed = await store.renewGateSession(tx, renews, session, secrets);
      if (renewed !== undefined) return { session: renewed, cookie, changes: [toChange(renews)] };
      const { renews: _, ...anew } = begun;
      const { frontend, host } = begun;
      const ended = await this.#end(tx, { id: renews, frontendId: frontend.id, host });
      const other = await this.begin(tx, anew);
      return { ...other, changes: [...ended, ...other.changes] };
    }
    await store.insertGateSession(tx, session, secrets);
    const ended = await store.deleteGateSessionsBeyond(tx, session, sessionsPerSubject);
    return { session, cookie, changes: ended.map(toChange) };
  }

  /**
   * Ends the session of a cookie with `tx`, if it is one of this frontend at
   * this host. The caller records it, and appends the changes; none where there
   * was no such session.
   */
  async endByCookie(
    tx: Tx,
    place: Pick<GateSession, "frontendId" | "host">,
    cookie: string,
  ): Promise<readonly Change[]> {
    return await this.#end(tx, { ...place, secretHash: hashSecret(cookie) });
  }

  /** Ends a session with `tx`, as {@link endByCookie} does. */
  async endById(tx: Tx, id: string): Promise<readonly Change[]> {
    return await this.#end(tx, { id });
  }

  /**
   * The live sessions of a frontdoor, oldest first.
   *
   * @param only `providerId` in any case
   * @throws DomainError INVALID_REQUEST and those of `frontdoorAccess`
   */
  async list(
    caller: Caller,
    frontdoorId: string,
    only: Partial<Pick<GateSessionHolder, "providerId" | "subject">>,
    page: PageRequest,
  ): Promise<Page<GateSession>> {
    const { frontdoorAccess, database, clock } = this.#options;
    const frontdoor = await frontdoorAccess.require(caller.principal, frontdoorId, "test");
    const filter = {
      frontdoorId: frontdoor.id,
      ...(only.subject !== undefined && { subject: only.subject }),
      ...(only.providerId !== undefined && { providerId: only.providerId.toLowerCase() }),
    };
    const list = ["ListGateSessions", JSON.stringify(filter)];
    return await toPageById(list, page, (range) =>
      store.findLiveGateSessions(database.reader, filter, clock.now(), range),
    );
  }

  /** Ends a session of a frontdoor. @throws DomainError GATE_SESSION_NOT_FOUND and those of `frontdoorAccess` */
  async end(caller: Caller, frontdoorId: string, id: string): Promise<void> {
    const { frontdoorAccess } = this.#options;
    const frontdoor = await frontdoorAccess.require(caller.principal, frontdoorId, "write");
    const ended = await this.#endBy(caller, { id: id.toLowerCase(), frontdoorId: frontdoor.id }, "manager");
    if (ended === 0) throw new DomainError("GATE_SESSION_NOT_FOUND");
  }

  /**
   * Ends all sessions of somebody whom a provider proved, those included that
   * are about to begin, and answers how many there were.
   *
   * @throws DomainError AUTH_PROVIDER_NOT_FOUND and those of `frontdoorAccess`
   */
  async endAll(caller: Caller, { frontdoorId, providerId, subject }: GateSessionHolder): Promise<number> {
    const { frontdoorAccess, database } = this.#options;
    const frontdoor = await frontdoorAccess.require(caller.principal, frontdoorId, "write");
    const provider = await getProviderIn(database.reader, frontdoor.id, providerId);
    const holder = { providerId: provider.id, subject };
    return await this.#endBy(caller, holder, "manager", (tx) => this.#endWaysIn(tx, holder));
  }

  /** The caller's own live ones, newest first. @throws DomainError NOT_AUTHORIZED */
  async listOwn(caller: Caller): Promise<GateSession[]> {
    const { database, clock } = this.#options;
    const { id: userId } = requireUser(caller);
    const range = { afterId: "", limit: mostOwn };
    const found = await store.findLiveGateSessions(database.reader, { userId }, clock.now(), range);
    return found.toReversed();
  }

  /**
   * Ends one of the caller's own. If they once said that those who run its
   * frontdoor may know who they are, they are asked again.
   *
   * @throws DomainError NOT_AUTHORIZED, GATE_SESSION_NOT_FOUND
   */
  async endOwn(caller: Caller, id: string): Promise<void> {
    const { id: userId } = requireUser(caller);
    const ended = await this.#endBy(caller, { id: id.toLowerCase(), userId }, "holder");
    if (ended === 0) throw new DomainError("GATE_SESSION_NOT_FOUND");
  }

  /**
   * Ends with `tx` those that a provider says have ended, in all or, where it
   * names its own session, of that one; and those that are about to begin.
   */
  async endByProvider(tx: Tx, orgId: string, logout: HolderFilter): Promise<void> {
    const { audit, feed } = this.#options;
    await this.#endWaysIn(tx, logout);
    const ended = await store.deleteGateSessions(tx, logout);
    for (const session of ended) {
      await audit.recordOwn(tx, "server", toEndEvent(session, orgId, "provider_logout"));
    }
    await feed.append(tx, ...ended.map(({ id }) => toChange(id)));
  }

  async #endBy(
    caller: Caller,
    filter: store.GateSessionFilter,
    because: "manager" | "holder",
    first: (tx: Tx) => Promise<void> = async () => {},
  ): Promise<number> {
    const { database, audit, feed } = this.#options;
    return await database.transaction(async (tx) => {
      await first(tx);
      const ended = await store.deleteGateSessions(tx, filter);
      for (const session of ended) {
        const { subject: userId, frontdoorId } = session;
        // Who ends it themselves is asked again before those who run the frontdoor are told of them.
        if (because === "holder") await forgetConfirmation(tx, { userId, frontdoorId });
        const frontdoor = await findFrontdoor(tx, frontdoorId);
        await audit.record(tx, caller, toEndEvent(session, frontdoor?.orgId, because));
      }
      await feed.append(tx, ...ended.map(({ id }) => toChange(id)));
      return ended.length;
    });
  }

  /** Before the sessions: who is being let in meanwhile has one by then. */
  async #endWaysIn(tx: Tx, { providerId, subject, sid }: HolderFilter): Promise<void> {
    await this.#options.endWaysIn(tx, (proven) => {
      if (proven.providerId !== providerId) return false;
      if (subject !== undefined && proven.subject !== subject) return false;
      // As with sessions: one whose name is not known is meant, if the subject is.
      return sid === undefined || proven.sid === sid || (proven.sid === undefined && subject !== undefined);
    });
  }

  async #end(tx: Tx, filter: store.GateSessionFilter): Promise<Change[]> {
    return (await store.deleteGateSessions(tx, filter)).map(({ id }) => toChange(id));
  }
}

function requireUser({ principal }: Caller): UserPrincipal {
  if (principal.type === "user") return principal;
  throw new DomainError("NOT_AUTHORIZED", { detail: "only people have sessions" });
}

function toSession(begun: NewGateSession, id: string, now: Date): GateSession {
  const { frontend, host, provider, identity, parentSessionId, renewAt, device } = begun;
  const isOwn = parentSessionId !== undefined;
  return {
    id,
    frontdoorId: frontend.frontdoorId,
    frontendId: frontend.id,
    host,
    providerId: provider.id,
    providerRevision: provider.revision,
    subject: identity.subject,
    ...(isOwn ? { parentId: parentSessionId } : { identity: toStored(identity) }),
    ...(renewAt && { renewAt }),
    isRenewable: begun.kept !== undefined,
    device,
    createdAt: now,
    lastUsedAt: now,
    expiresAt: new Date(now.getTime() + begun.maxAgeSeconds * 1000),
  };
}

function toChange(id: string): Change {
  return { topic: "gate-session", subject: id };
}
