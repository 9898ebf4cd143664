import type { Reader, Tx } from "../../db/database.ts";
import { prepared } from "../../db/prepared.ts";
import { removeOld } from "../../db/remove-rows.ts";
import type { GateSessionRow } from "../../db/schema.ts";
import { deviceColumn, identityColumn } from "./columns.ts";
import type { GateSession } from "./gate-session.ts";

function toGateSession(row: GateSessionRow): GateSession {
  return {
    id: row.id,
    frontdoorId: row.frontdoor_id,
    frontendId: row.frontend_id,
    host: row.host,
    providerId: row.provider_id,
    providerRevision: row.provider_revision,
    subject: row.subject,
    ...(row.parent_id !== null && { parentId: row.parent_id }),
    ...(row.identity !== null && { identity: identityColumn.decode(row.identity) }),
    ...(row.renew_at !== null && { renewAt: new Date(row.renew_at) }),
    isRenewable: row.sealed_kept !== null,
    ...(row.renewal_until > 0 && {
      lease: { until: new Date(row.renewal_until), isHeld: row.renewal_id !== null },
    }),
    device: deviceColumn.decode(row.device),
    createdAt: new Date(row.created_at),
    lastUsedAt: new Date(row.last_used_at),
    expiresAt: new Date(row.expires_at),
  };
}

/** What nobody is shown of a session. */
export interface GateSessionSecrets {
  /** SHA-256 of what the cookie holds, base64url. */
  readonly secretHash: string;
  readonly sealedKept?: string;
  readonly sid?: string;
}

/** Stores a new session. @throws a violated reference when its parent has ended */
export async function insertGateSession(
  tx: Tx,
  session: GateSession,
  { secretHash, sealedKept, sid }: GateSessionSecrets,
): Promise<void> {
  await tx
    .insertInto("gate_sessions")
    .values({
      id: session.id,
      secret_hash: secretHash,
      frontdoor_id: session.frontdoorId,
      frontend_id: session.frontendId,
      host: session.host,
      provider_id: session.providerId,
      provider_revision: session.providerRevision,
      subject: session.subject,
      parent_id: session.parentId ?? null,
      identity: session.identity === undefined ? null : identityColumn.encode(session.identity),
      sid: sid ?? null,
      sealed_kept: sealedKept ?? null,
      renew_at: session.renewAt?.getTime() ?? null,
      renewal_id: null,
      renewal_until: 0,
      device: deviceColumn.encode(session.device),
      created_at: session.createdAt.getTime(),
      last_used_at: session.lastUsedAt.getTime(),
      expires_at: session.expiresAt.getTime(),
    })
    .execute();
}

const selectByHash = prepared((database, { secretHash }: { secretHash: string }) =>
  database.selectFrom("gate_sessions").selectAll().where("secret_hash", "=", secretHash),
);

/** The session of a cookie's secret; may have expired. */
export async function findGateSessionByHash(
  reader: Reader,
  secretHash: string,
): Promise<GateSession | undefined> {
  const row = await selectByHash.first(reader, { secretHash });
  return row && toGateSession(row);
}

/** A session by its id; may have expired. */
export async function findGateSession(reader: Reader, id: string): Promise<GateSession | undefined> {
  const row = await reader.selectFrom("gate_sessions").selectAll().where("id", "=", id).executeTakeFirst();
  return row && toGateSession(row);
}

/** A right to ask a provider again, which one has at a time. */
export interface RenewalLease {
  readonly renewalId: string;
  /** When another may ask, in milliseconds since the epoch. */
  readonly untilMs: number;
}

/**
 * Takes the lease of a session that is still as it was found, if nobody has it
 * at `nowMs`, and answers what is kept for asking; undefined when it cannot be
 * had. Of any number of callers one gets it.
 *
 * @param limits `aheadMs`: a lease that ends after that was taken by a clock that ran ahead.
 */
export async function takeRenewal(
  tx: Tx,
  { id, renewAt }: Pick<GateSession, "id" | "renewAt">,
  { renewalId, untilMs }: RenewalLease,
  { nowMs, aheadMs }: { readonly nowMs: number; readonly aheadMs: number },
): Promise<string | undefined> {
  const row = await tx
    .updateTable("gate_sessions")
    .set({ renewal_id: renewalId, renewal_until: untilMs })
    .where("id", "=", id)
    .where("renew_at", "=", renewAt?.getTime() ?? null)
    .where((eb) => eb.or([eb("renewal_until", "<=", nowMs), eb("renewal_until", ">", aheadMs)]))
    .returning("sealed_kept")
    .executeTakeFirst();
  return row?.sealed_kept ?? undefined;
}

/**
 * Stores what asking brought, in place of what was kept, and gives the lease
 * back; false when the session has ended, or the lease is another's by now.
 */
export async function finishRenewal(
  tx: Tx,
  { id, identity, renewAt }: GateSession,
  renewalId: string,
  { sealedKept, sid }: { readonly sealedKept: string | undefined; readonly sid: string | undefined },
): Promise<boolean> {
  const result = await tx
    .updateTable("gate_sessions")
    .set({
      renewal_id: null,
      renewal_until: 0,
      renew_at: renewAt?.getTime() ?? null,
      ...(identity && { identity: identityColumn.encode(identity) }),
      ...(sealedKept !== undefined && { sealed_kept: sealedKept }),
      ...(sid !== undefined && { sid }),
    })
    .where("id", "=", id)
    .where("renewal_id", "=", renewalId)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** Gives a lease back, so that nobody asks until it would have ended. */
export async function restRenewal(tx: Tx, id: string, { renewalId, untilMs }: RenewalLease): Promise<void> {
  await tx
    .updateTable("gate_sessions")
    .set({ renewal_id: null, renewal_until: untilMs })
    .where("id", "=", id)
    .where("renewal_id", "=", renewalId)
    .execute();
}

/** Removes a session whose lease one has; false when it is gone, or the lease is another's by now. */
export async function deleteWhileRenewed(tx: Tx, id: string, renewalId: string): Promise<boolean> {
  const result = await tx
    .deleteFrom("gate_sessions")
    .where("id", "=", id)
    .where("renewal_id", "=", renewalId)
    .executeTakeFirst();
  return result.numDeletedRows > 0n;
}

/** Removes the oldest sessions of a holder of a provider beyond the `keep` newest, and answers their ids. */
export async function deleteGateSessionsBeyond(
  tx: Tx,
  { providerId, subject }: Pick<GateSession, "providerId" | "subject">,
  keep: number,
): Promise<string[]> {
  const beyond = tx
    .selectFrom("gate_sessions")
    .select("id")
    .where("provider_id", "=", providerId)
    .where("subject", "=", subject)
    .orderBy("id", "desc")
    .offset(keep)
    // Never more than one, but for sign-ins that race.
    .limit(100);
  const rows = await tx.deleteFrom("gate_sessions").where("id", "in", beyond).returning("id").execute();
  return rows.map(({ id }) => id);
}

/** Removes the session of a cookie's secret, if it is of this frontend and host. Answers its id. */
export async function deleteGateSessionByHash(
  tx: Tx,
  secretHash: string,
  { frontendId, host }: Pick<GateSession, "frontendId" | "host">,
): Promise<string | undefined> {
  const row = await tx
    .deleteFrom("gate_sessions")
    .where("secret_hash", "=", secretHash)
    .where("frontend_id", "=", frontendId)
    .where("host", "=", host)
    .returning("id")
    .executeTakeFirst();
  return row?.id;
}

/** Removes a session; false when it is gone already. */
export async function deleteGateSession(tx: Tx, id: string): Promise<boolean> {
  const { numDeletedRows } = await tx.deleteFrom("gate_sessions").where("id", "=", id).executeTakeFirst();
  return numDeletedRows > 0n;
}

/** Removes sessions that are over. */
export const deleteExpiredGateSessions = removeOld("gate_sessions", ["id"], "expires_at");
