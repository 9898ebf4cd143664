import type { Tx } from "../db/database.ts";
import { prepared } from "../db/prepared.ts";
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

/** Forgets up to `limit` codes whose day was over at `now`. Answers how many there were. */
export async function deleteSentCodes(tx: Tx, now: Date, limit: number): Promise<number> {
  const result = await tx
    .deleteFrom("sent_codes")
    .where("code_hash", "in", (expired) =>
      expired
        .selectFrom("sent_codes")
        .select("code_hash")
        .where("expires_at", "<=", now.getTime())
        .orderBy("expires_at")
        .limit(limit),
    )
    .executeTakeFirst();
  return Number(result.numDeletedRows);
}
