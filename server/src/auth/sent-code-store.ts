import type { Tx } from "../db/database.ts";
import { prepared } from "../db/prepared.ts";
import { removeOld } from "../db/remove-rows.ts";
import { hashSecret } from "../lib/secrets.ts";

/** How long it is known that a provider's code was sent, in milliseconds: far longer than any such code is good for. */
const sentCodeMs = 24 * 3_600_000;

const insert = prepared((database, row: { codeHash: string; expiresAt: number }) =>
  database
    .insertInto("sent_codes")
    .values({ code_hash: row.codeHash, expires_at: row.expiresAt })
    .onConflict((conflict) => conflict.column("code_hash").doNothing()),
);

/**
 * Marks a provider's code as sent to a token endpoint; false when it has been
 * before, by whatever flow. One statement against the primary key: of any number of
 * concurrent calls, in any processes, one answers true. Kept as a hash alone.
 */
export async function consumeCode(tx: Tx, code: string, now: Date): Promise<boolean> {
  return (await insert.run(tx, { codeHash: hashSecret(code), expiresAt: now.getTime() + sentCodeMs })) === 1;
}

/** Forgets codes whose day is over. */
export const deleteSentCodes = removeOld("sent_codes", ["code_hash"], "expires_at");
