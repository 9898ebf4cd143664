import { type ExpressionBuilder, sql } from "kysely";
import type { Reader, Tx } from "../../db/database.ts";
import { prepared } from "../../db/prepared.ts";
import { removeOld, removeRows } from "../../db/remove-rows.ts";
import type { GateSessionRow, Schema } from "../../db/schema.ts";
import type { IdRange } from "../../lib/page-token.ts";
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

/**
 * Gives a session what a new proof of the same holder brought, under another
 * secret; its end stays. undefined when there is no such session that lives.
 */
export async function renewGateSession(
  tx: Tx,
  id: string,
  session: GateSession,
  { secretHash, sealedKept, sid }: GateSessionSecrets,
): Promise<GateSession | undefined> {
  const row = await tx
    .updateTable("gate_sessions")
    .set({
      secret_hash: secretHash,
      provider_revision: session.providerRevision,
      identity: session.identity === undefined ? null : identityColumn.encode(session.identity),
      sid: sid ?? null,
      sealed_kept: sealedKept ?? null,
      renew_at: session.renewAt?.getTime() ?? null,
      renewal_id: null,
      renewal_until: 0,
      device: deviceColumn.encode(session.device),
      last_used_at: session.lastUsedAt.getTime(),
    })
    .where("id", "=", id)
    .where("frontend_id", "=", session.frontendId)
    .where("host", "=", session.host)
    .where("provider_id", "=", session.providerId)
    .where("subject", "=", session.subject)
    .where("parent_id", "is", null)
    .where("expires_at", ">", session.createdAt.getTime())
    .returningAll()
    .executeTakeFirst();
  return row && toGateSession(row);
}

/** Which sessions at frontends: all that is said fits. */
export interface GateSessionFilter {
  readonly id?: string;
  readonly secretHash?: string;
  readonly frontdoorId?: string;
  readonly frontendId?: string;
  readonly host?: string;
  readonly providerId?: string;
  readonly subject?: string;
  /** The user whose sessions of this service they hang on. */
  readonly userId?: string;
  /** The provider's own name for its session; one of which that is not known fits as well, if the subject does. */
  readonly sid?: string;
}

const filterColumns = {
  id: "id",
  secretHash: "secret_hash",
  frontdoorId: "frontdoor_id",
  frontendId: "frontend_id",
  host: "host",
  providerId: "provider_id",
  subject: "subject",
} as const satisfies Partial<Record<keyof GateSessionFilter, keyof GateSessionRow>>;

function toCondition(eb: ExpressionBuilder<Schema, "gate_sessions">, filter: GateSessionFilter) {
  const { userId, sid, subject } = filter;
  const equal = Object.entries(filterColumns).flatMap(([name, column]) => {
    const value = filter[name as keyof typeof filterColumns];
    return value === undefined ? [] : [eb(`gate_sessions.${column}`, "=", value)];
  });
  if (userId !== undefined) {
    const own = eb.selectFrom("sessions").select("sessions.id").where("sessions.user_id", "=", userId);
    equal.push(eb("gate_sessions.parent_id", "in", own));
  }
  if (sid !== undefined) {
    const named = eb("gate_sessions.sid", "=", sid);
    equal.push(subject === undefined ? named : eb.or([named, eb("gate_sessions.sid", "is", null)]));
  }
  return eb.and(equal);
}

/** Removes sessions, and answers them. @param filter says at least whose or which */
export async function deleteGateSessions(tx: Tx, filter: GateSessionFilter): Promise<GateSession[]> {
  const rows = await tx
    .deleteFrom("gate_sessions")
    .where((eb) => toCondition(eb, filter))
    .returningAll()
    .execute();
  return rows.map(toGateSession);
}

/** Sessions that let their holders in at `now` as far as is stored here, by id. */
export async function findLiveGateSessions(
  reader: Reader,
  filter: GateSessionFilter,
  now: Date,
  { afterId, limit }: IdRange,
): Promise<GateSession[]> {
  const rows = await reader
    .selectFrom("gate_sessions")
    .innerJoin("custom_frontends as f", "f.id", "gate_sessions.frontend_id")
    .innerJoin("frontdoors as d", "d.id", "gate_sessions.frontdoor_id")
    .innerJoin("auth_providers as p", "p.id", "gate_sessions.provider_id")
    .leftJoin("sessions as s", "s.id", "gate_sessions.parent_id")
    .selectAll("gate_sessions")
    .where((eb) => toCondition(eb, filter))
    .where("gate_sessions.id", ">", afterId)
    .where("gate_sessions.expires_at", ">", now.getTime())
    .where("d.deleted_at", "is", null)
    .where("p.enabled", "=", 1)
    .whereRef("gate_sessions.provider_revision", ">=", "p.sessions_from")
    .where((eb) => eb.or([eb("s.id", "is", null), eb("s.expires_at", ">", now.getTime())]))
    .orderBy("gate_sessions.id")
    .limit(limit)
    .execute();
  return rows.map(toGateSession);
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

/** Removes sessions that are over. */
export const deleteExpiredGateSessions = removeOld("gate_sessions", ["id"], "expires_at");

/** Sessions of a frontend or a provider that is gone. */
export interface Orphans {
  readonly column: "frontend_id" | "provider_id";
  readonly id: string;
}

/**
 * Whose frontend or provider is gone: from one value of an indexed column to
 * the next, so that it takes as long as there are frontends and providers.
 */
export async function findOrphans(reader: Reader): Promise<Orphans[]> {
  const found: Orphans[] = [];
  for (const [column, table] of [
    ["frontend_id", "custom_frontends"],
    ["provider_id", "auth_providers"],
  ] as const) {
    const value = sql.ref(column);
    const { rows } = await sql<{ id: string }>`
      with recursive each_id(id) as (
        select min(${value}) from gate_sessions
        union all
        select (select min(${value}) from gate_sessions where ${value} > each_id.id)
        from each_id where each_id.id is not null
      )
      select id from each_id
      where id is not null and not exists (select 1 from ${sql.table(table)} t where t.id = each_id.id)
    `.execute(reader);
    found.push(...rows.map(({ id }) => ({ column, id })));
  }
  return found;
}

/** Removes up to `limit` of them, and answers how many there were. */
export function deleteOrphans(tx: Tx, { column, id }: Orphans, limit: number): Promise<number> {
  return removeRows(tx, { table: "gate_sessions", key: ["id"], where: (eb) => eb(column, "=", id) }, limit);
}
