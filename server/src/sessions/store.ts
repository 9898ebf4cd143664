import type { Reader, Tx } from "../db/database.ts";
import { forUpdate } from "../db/dialect.ts";
import { prepared } from "../db/prepared.ts";
import { removeOld } from "../db/remove-rows.ts";
import type { SessionRow } from "../db/schema.ts";
import type { Device, LiveSession, Session } from "./session.ts";

function toSession(row: SessionRow): Session {
  return {
    id: row.id,
    userId: row.user_id,
    device: {
      operatingSystem: row.operating_system,
      browser: row.browser,
      ipAddress: row.ip_address,
      city: row.city,
      country: row.country,
      latitude: row.latitude,
      longitude: row.longitude,
    },
    createdAt: new Date(row.created_at),
    authenticatedAt: new Date(row.authenticated_at),
    updatedAt: new Date(row.updated_at),
    expiresAt: new Date(row.expires_at),
  };
}

function toDeviceColumns(device: Device) {
  return {
    operating_system: device.operatingSystem,
    browser: device.browser,
    ip_address: device.ipAddress,
    city: device.city,
    country: device.country,
    latitude: device.latitude,
    longitude: device.longitude,
  };
}

/** Hashes of a session's secrets and the strategy that it began with, for nobody to see. */
export interface SessionOrigin {
  readonly secretHash: string;
  readonly companionHash: string;
  readonly strategy: string;
}

/**
 * Stores a new session, and answers it.
 *
 * @param hashes SHA-256 of the secrets in its cookie and in the companion, base64url
 */
export async function insertSession(
  tx: Tx,
  session: Session,
  { secretHash, companionHash, strategy }: SessionOrigin,
): Promise<Session> {
  await tx
    .insertInto("sessions")
    .values({
      id: session.id,
      secret_hash: secretHash,
      companion_hash: companionHash,
      user_id: session.userId,
      strategy,
      ...toDeviceColumns(session.device),
      created_at: session.createdAt.getTime(),
      authenticated_at: session.authenticatedAt.getTime(),
      updated_at: session.updatedAt.getTime(),
      expires_at: session.expiresAt.getTime(),
    })
    .execute();
  return session;
}

/**
 * Gives a user's session other secrets and another end; undefined when they
 * have none of that id any more.
 *
 * @param hashes as {@link insertSession} takes them
 */
export async function renewSession(
  tx: Tx,
  id: string,
  session: Omit<Session, "id" | "createdAt">,
  { secretHash, companionHash, strategy }: SessionOrigin,
): Promise<Session | undefined> {
  const row = await tx
    .updateTable("sessions")
    .set({
      secret_hash: secretHash,
      companion_hash: companionHash,
      strategy,
      ...toDeviceColumns(session.device),
      authenticated_at: session.authenticatedAt.getTime(),
      updated_at: session.updatedAt.getTime(),
      expires_at: session.expiresAt.getTime(),
    })
    .where("id", "=", id)
    .where("user_id", "=", session.userId)
    .returningAll()
    .executeTakeFirst();
  return row && toSession(row);
}

function selectLive(database: Reader) {
  return database
    .selectFrom("sessions")
    .innerJoin("users", "users.id", "sessions.user_id")
    .select([
      "sessions.id",
      "sessions.user_id",
      "sessions.companion_hash",
      "sessions.authenticated_at",
      "sessions.updated_at",
      "sessions.expires_at",
      "users.email",
      "users.email_proven",
      "users.state",
    ]);
}

const selectLiveByHash = prepared((database, { secretHash }: { secretHash: string }) =>
  selectLive(database).where("sessions.secret_hash", "=", secretHash),
);

const selectLiveById = prepared((database, { id }: { id: string }) =>
  selectLive(database).where("sessions.id", "=", id),
);

type LiveRow = Pick<
  SessionRow,
  "id" | "user_id" | "companion_hash" | "authenticated_at" | "updated_at" | "expires_at"
> & {
  email: string;
  email_proven: 0 | 1;
  state: "enabled" | "disabled";
};

function toLiveSession(row: LiveRow): LiveSession {
  return {
    id: row.id,
    userId: row.user_id,
    companionHash: row.companion_hash,
    email: row.email,
    emailProven: row.email_proven === 1,
    userState: row.state,
    authenticatedAt: new Date(row.authenticated_at),
    updatedAt: new Date(row.updated_at),
    expiresAt: new Date(row.expires_at),
  };
}

/** The session of a cookie's secret, with its user; may have expired. */
export async function findLiveSessionByHash(
  reader: Reader,
  secretHash: string,
): Promise<LiveSession | undefined> {
  const row = await selectLiveByHash.first(reader, { secretHash });
  return row && toLiveSession(row);
}

/** A session by id, with its user; may have expired. */
export async function findLiveSession(reader: Reader, id: string): Promise<LiveSession | undefined> {
  const row = await selectLiveById.first(reader, { id });
  return row && toLiveSession(row);
}

/** The address of a user; undefined when there is none of that id. */
export async function findUserEmail(reader: Reader, userId: string): Promise<string | undefined> {
  const row = await reader.selectFrom("users").select("email").where("id", "=", userId).executeTakeFirst();
  return row?.email;
}

/** A user's sessions that are not over at `now`, newest first. */
export async function findSessions(reader: Reader, userId: string, now: Date): Promise<Session[]> {
  const rows = await reader
    .selectFrom("sessions")
    .selectAll()
    .where("user_id", "=", userId)
    .where("expires_at", ">", now.getTime())
    .orderBy("id", "desc")
    .execute();
  return rows.map(toSession);
}

/** Ids of a user's sessions beyond the `keep` newest. */
export async function findSessionsBeyond(reader: Reader, userId: string, keep: number): Promise<string[]> {
  const rows = await reader
    .selectFrom("sessions")
    .select("id")
    .where("user_id", "=", userId)
    .orderBy("id", "desc")
    .offset(keep)
    // Never more than one, but for sign-ins that race.
    .limit(100)
    .execute();
  return rows.map(({ id }) => id);
}

/**
 * Whether a user's session is still there, with `tx` until it ends: whoever
 * ends the session waits, or has come first.
 */
export async function holdSession(tx: Tx, id: string, userId: string): Promise<boolean> {
  const row = await tx
    .selectFrom("sessions")
    .select("id")
    .where("id", "=", id)
    .where("user_id", "=", userId)
    .$call(forUpdate(tx))
    .executeTakeFirst();
  return row !== undefined;
}

/** Removes one session of a user; false when they have none of that id. */
export async function deleteSession(tx: Tx, id: string, userId: string): Promise<boolean> {
  const result = await tx
    .deleteFrom("sessions")
    .where("id", "=", id)
    .where("user_id", "=", userId)
    .executeTakeFirst();
  return result.numDeletedRows > 0n;
}

/** Removes a user's sessions but the one to keep, and answers their ids. */
export async function deleteSessions(tx: Tx, userId: string, keepId?: string): Promise<string[]> {
  const rows = await tx
    .deleteFrom("sessions")
    .where("user_id", "=", userId)
    .where("id", "!=", keepId ?? "")
    .returning("id")
    .execute();
  return rows.map(({ id }) => id);
}

/** Notes device and place anew; false when the session is gone. */
export async function updateDevice(tx: Tx, id: string, device: Device, now: Date): Promise<boolean> {
  const result = await tx
    .updateTable("sessions")
    .set({ ...toDeviceColumns(device), updated_at: now.getTime() })
    .where("id", "=", id)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

const touch = prepared((database, { id, atMs }: { id: string; atMs: number }) =>
  database
    .updateTable("sessions")
    .set({ updated_at: atMs })
    .where("id", "=", id)
    .where("updated_at", "<", atMs),
);

/** Notes when sessions were last used; an older use changes nothing. */
export async function touchSessions(
  tx: Tx,
  uses: readonly { readonly id: string; readonly at: Date }[],
): Promise<void> {
  for (const { id, at } of uses) await touch.run(tx, { id, atMs: at.getTime() });
}

/** Removes sessions that are over. */
export const deleteExpiredSessions = removeOld("sessions", ["id"], "expires_at");
