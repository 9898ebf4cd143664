/** Assertions that were used: each `jti` is consumed once, over all processes (RFC 7523 §3). */
import type { Tx } from "../db/database.ts";
import { prepared } from "../db/prepared.ts";
import { removeOld } from "../db/remove-rows.ts";

const insert = prepared((database, row: { id: string; expiresAt: number }) =>
  database
    .insertInto("used_assertions")
    .values({ id: row.id, expires_at: row.expiresAt })
    .onConflict((conflict) => conflict.column("id").doNothing()),
);

/**
 * Marks an assertion as used; false when it was already. One statement against
 * the primary key: of any number of concurrent calls, in any processes, one
 * answers true.
 */
export async function consumeAssertion(tx: Tx, id: string, expiresAt: Date): Promise<boolean> {
  return (await insert.run(tx, { id, expiresAt: expiresAt.getTime() })) === 1;
}

/** Forgets assertions that have expired. */
export const deleteUsedAssertions = removeOld("used_assertions", ["id"], "expires_at");
