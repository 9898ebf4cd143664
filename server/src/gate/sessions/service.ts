/**
 * Sessions at custom frontends: how they begin and end.
 *
 * Who may begin one, `gate/login` says. By `VESTIBULE` a session is a child of
 * the person's own, and ends with it, however that ends: the database removes
 * it with its parent. All others belong to a provider and whoever that
 * provider proved.
 */
import { randomBytes } from "node:crypto";
import type { Change } from "../../changes/topics.ts";
import type { Tx } from "../../db/database.ts";
import type { Sealer } from "../../encryption/sealer.ts";
import { toBase64url } from "../../lib/base64url.ts";
import type { Clock } from "../../lib/clock.ts";
import { newId } from "../../lib/ids.ts";
import { hashSecret } from "../../lib/secrets.ts";
import { sealKept } from "./columns.ts";
import { type GateSession, type NewGateSession, sessionsPerSubject, toStored } from "./gate-session.ts";
import * as store from "./store.ts";

/** Parts that sessions at frontends stand on. */
export interface GateSessionServiceOptions {
  readonly sealer: Sealer;
  readonly clock: Clock;
}

/** A session just begun. */
export interface BegunGateSession {
  readonly session: GateSession;
  /** Value of its cookie. Known now and never again. */
  readonly cookie: string;
  /** To be appended to the feed at the end of the transaction. */
  readonly changes: readonly Change[];
}

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
    const session = toSession(begun, newId(now), now);
    await store.insertGateSession(tx, session, {
      secretHash: hashSecret(cookie),
      ...(begun.kept && { sealedKept: sealKept(sealer, session.id, begun.kept) }),
      ...(begun.sid !== undefined && { sid: begun.sid }),
    });
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
    const id = await store.deleteGateSessionByHash(tx, hashSecret(cookie), place);
    return id === undefined ? [] : [toChange(id)];
  }

  /** Ends a session with `tx`, as {@link endByCookie} does. */
  async endById(tx: Tx, id: string): Promise<readonly Change[]> {
    return (await store.deleteGateSession(tx, id)) ? [toChange(id)] : [];
  }
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
