import type { Reader, Tx } from "../db/database.ts";
import { prepared } from "../db/prepared.ts";
import { removeOld } from "../db/remove-rows.ts";
import type { AuthFlowRow } from "../db/schema.ts";

/** A sign-in on its way, as stored. One that has been finished is gone. */
export interface Flow {
  readonly id: string;
  /** Name of its strategy. */
  readonly strategy: string;
  /** SHA-256 of the cookie of the browser it began in, base64url. */
  readonly browserHash: string;
  readonly sealedSecret: string;
  readonly email?: string;
  readonly callbackUrl: string;
  readonly returnTo?: string;
  /** The session it was begun in. */
  readonly sessionId?: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

/** Stores a flow. @param stateHash SHA-256 of its state, base64url. */
export async function insertFlow(tx: Tx, flow: Flow, stateHash: string): Promise<void> {
  await tx
    .insertInto("auth_flows")
    .values({
      id: flow.id,
      state_hash: stateHash,
      strategy: flow.strategy,
      browser_hash: flow.browserHash,
      sealed_secret: flow.sealedSecret,
      email: flow.email ?? null,
      callback_url: flow.callbackUrl,
      return_to: flow.returnTo ?? null,
      session_id: flow.sessionId ?? null,
      attempts: 0,
      created_at: flow.createdAt.getTime(),
      expires_at: flow.expiresAt.getTime(),
    })
    .execute();
}

function toFlow(row: AuthFlowRow): Flow {
  return {
    id: row.id,
    strategy: row.strategy,
    browserHash: row.browser_hash,
    sealedSecret: row.sealed_secret,
    callbackUrl: row.callback_url,
    createdAt: new Date(row.created_at),
    expiresAt: new Date(row.expires_at),
    ...(row.email !== null && { email: row.email }),
    ...(row.return_to !== null && { returnTo: row.return_to }),
    ...(row.session_id !== null && { sessionId: row.session_id }),
  };
}

const selectByState = prepared((database, { stateHash }: { stateHash: string }) =>
  database.selectFrom("auth_flows").selectAll().where("state_hash", "=", stateHash),
);

/** The flow of a state; may have expired. */
export async function findFlow(reader: Reader, stateHash: string): Promise<Flow | undefined> {
  const row = await selectByState.first(reader, { stateHash });
  return row && toFlow(row);
}

/**
 * Ends a flow for good. Of any number of concurrent calls one is answered true.
 *
 * @returns false when it has been consumed already, or was over at `now`.
 */
export async function consumeFlow(tx: Tx, id: string, now: Date): Promise<boolean> {
  const result = await tx
    .deleteFrom("auth_flows")
    .where("id", "=", id)
    .where("expires_at", ">", now.getTime())
    .executeTakeFirst();
  return result.numDeletedRows > 0n;
}

/** Flows of strategies that begin with `prefix` and are not over at `now`, but will be within `mostMs`. */
export async function findFlowsEndingWithin(
  reader: Reader,
  prefix: string,
  now: Date,
  mostMs: number,
): Promise<Flow[]> {
  const rows = await reader
    .selectFrom("auth_flows")
    .selectAll()
    .where("expires_at", ">", now.getTime())
    .where("expires_at", "<=", now.getTime() + mostMs)
    .where("strategy", "like", `${prefix}%`)
    .execute();
  return rows.map(toFlow);
}

/**
 * Counts an answer before it is verified. Of any number of concurrent calls no
 * more than `limit` succeed.
 *
 * @returns how many there are now; undefined when none is left, or the flow is over.
 */
export async function countAttempt(
  tx: Tx,
  id: string,
  limit: number,
  now: Date,
): Promise<number | undefined> {
  const row = await tx
    .updateTable("auth_flows")
    .set((eb) => ({ attempts: eb("attempts", "+", 1) }))
    .where("id", "=", id)
    .where("attempts", "<", limit)
    .where("expires_at", ">", now.getTime())
    .returning("attempts")
    .executeTakeFirst();
  return row && Number(row.attempts);
}

/**
 * Puts another secret in the place of the one that was read. Of any number of
 * concurrent calls that read the same, one is answered true; none when the flow
 * is over at `now`.
 */
export async function replaceSecret(
  tx: Tx,
  { id, sealedSecret }: Pick<Flow, "id" | "sealedSecret">,
  sealed: string,
  now: Date,
): Promise<boolean> {
  const result = await tx
    .updateTable("auth_flows")
    .set({ sealed_secret: sealed })
    .where("id", "=", id)
    .where("sealed_secret", "=", sealedSecret)
    .where("expires_at", ">", now.getTime())
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** Takes an answer back that could not be verified. */
export async function uncountAttempt(tx: Tx, id: string): Promise<void> {
  await tx
    .updateTable("auth_flows")
    .set((eb) => ({ attempts: eb("attempts", "-", 1) }))
    .where("id", "=", id)
    .where("attempts", ">", 0)
    .execute();
}

/** Removes a flow, whether or not it is over. */
export async function deleteFlow(tx: Tx, id: string): Promise<void> {
  await tx.deleteFrom("auth_flows").where("id", "=", id).execute();
}

/** Removes the flows of some addresses, of whatever kind; one that is being consumed is waited for. */
export async function deleteFlowsOf(tx: Tx, emails: readonly string[]): Promise<void> {
  await tx
    .deleteFrom("auth_flows")
    .where("email", "in", [...emails])
    .execute();
}

/** For how long a flow is known whose time is up, in milliseconds: who comes late is told from who never began. */
const lateMs = 3_600_000;

/** Removes flows that have been over for an hour. */
export const deleteExpiredFlows = removeOld("auth_flows", ["id"], "expires_at", lateMs);
