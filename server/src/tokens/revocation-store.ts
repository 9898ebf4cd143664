import type { Reader, Tx } from "../db/database.ts";
import { prepared } from "../db/prepared.ts";
import { removeOld } from "../db/remove-rows.ts";

/** A revoked access token, until it expires by itself. */
export interface RevokedToken {
  readonly jti: string;
  readonly expiresAt: Date;
}

/** Stores a revocation; does nothing when it is stored already. */
export async function insertRevokedToken(tx: Tx, { jti, expiresAt }: RevokedToken): Promise<void> {
  await tx
    .insertInto("revoked_tokens")
    .values({ jti, expires_at: expiresAt.getTime() })
    .onConflict((conflict) => conflict.column("jti").doNothing())
    .execute();
}

const findByJti = prepared((database, { jti }: { jti: string }) =>
  database.selectFrom("revoked_tokens").select("jti").where("jti", "=", jti),
);

/** Whether a token has been revoked. */
export async function isRevokedToken(reader: Reader, jti: string): Promise<boolean> {
  return (await findByJti.first(reader, { jti })) !== undefined;
}

/** Revocations that still matter at `now`, at most `limit`. */
export async function findRevokedTokens(reader: Reader, now: Date, limit: number): Promise<RevokedToken[]> {
  const rows = await reader
    .selectFrom("revoked_tokens")
    .selectAll()
    .where("expires_at", ">", now.getTime())
    .limit(limit)
    .execute();
  return rows.map((row) => ({ jti: row.jti, expiresAt: new Date(row.expires_at) }));
}

/** Forgets revocations of tokens that have expired. */
export const deleteRevokedTokens = removeOld("revoked_tokens", ["jti"], "expires_at");
