import type { Reader, Tx } from "../db/database.ts";
import { removeOld } from "../db/remove-rows.ts";

/** How many browsers an account knows. */
export const browsersPerUser = 20;

/** How long an account knows a browser after its last sign-in, in milliseconds: 180 days. */
export const knownForMs = 180 * 24 * 3_600_000;

/**
 * Notes that a browser signs in, and removes the user's longest unseen beyond
 * {@link browsersPerUser}. Sign-ins that race may leave more, until the next.
 */
export async function upsertKnownBrowser(tx: Tx, userId: string, keyHash: string, now: Date): Promise<void> {
  await tx
    .insertInto("known_browsers")
    .values({ user_id: userId, key_hash: keyHash, seen_at: now.getTime() })
    .onConflict((conflict) =>
      conflict.columns(["user_id", "key_hash"]).doUpdateSet({ seen_at: now.getTime() }),
    )
    .execute();
  const others = await tx
    .selectFrom("known_browsers")
    .select("key_hash")
    .where("user_id", "=", userId)
    .where("key_hash", "!=", keyHash)
    .orderBy("seen_at", "desc")
    .orderBy("key_hash")
    .offset(browsersPerUser - 1)
    // Never more than one, but for sign-ins that race.
    .limit(100)
    .execute();
  if (others.length === 0) return;
  await tx
    .deleteFrom("known_browsers")
    .where("user_id", "=", userId)
    .where(
      "key_hash",
      "in",
      others.map(({ key_hash }) => key_hash),
    )
    .execute();
}

/** Which of the hashes a user knows a browser by, if any. */
export async function findKnownBrowser(
  reader: Reader,
  userId: string,
  keyHashes: readonly string[],
  now: Date,
): Promise<string | undefined> {
  const row = await reader
    .selectFrom("known_browsers")
    .select("key_hash")
    .where("user_id", "=", userId)
    .where("key_hash", "in", [...keyHashes])
    .where("seen_at", ">", now.getTime() - knownForMs)
    .limit(1)
    .executeTakeFirst();
  return row?.key_hash;
}

/** When each browser that a user knows was last signed in with, the latest first. */
export async function findBrowserSights(reader: Reader, userId: string, now: Date): Promise<readonly Date[]> {
  const rows = await reader
    .selectFrom("known_browsers")
    .select("seen_at")
    .where("user_id", "=", userId)
    .where("seen_at", ">", now.getTime() - knownForMs)
    .orderBy("seen_at", "desc")
    .execute();
  return rows.map((row) => new Date(row.seen_at));
}

/** Removes the browsers that a user knows, but for those to keep. */
export async function deleteKnownBrowsers(
  tx: Tx,
  userId: string,
  keepHashes: readonly string[],
): Promise<void> {
  await tx
    .deleteFrom("known_browsers")
    .where("user_id", "=", userId)
    .where("key_hash", "not in", ["", ...keepHashes])
    .execute();
}

/** Removes browsers that have not signed in for so long that they are known no more. */
export const deleteForgottenBrowsers = removeOld(
  "known_browsers",
  ["user_id", "key_hash"],
  "seen_at",
  knownForMs,
);
