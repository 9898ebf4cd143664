import { sql } from "kysely";
import type { Reader, Tx } from "../db/database.ts";
import { forUpdate } from "../db/dialect.ts";
import { avatarsPath, findHash } from "./path.ts";
import type { Picture } from "./picture.ts";

/** Stores a picture; one that is there already is held as it is until the transaction ends. */
export async function insertAvatar(tx: Tx, hash: string, { type, bytes }: Picture, now: Date): Promise<void> {
  await tx
    .insertInto("avatars")
    .values({ hash, media_type: type, content: bytes.toString("base64"), kept_at: now.getTime() })
    .onConflict((conflict) => conflict.column("hash").doUpdateSet({ kept_at: now.getTime() }))
    .execute();
}

/** Holds a picture until the transaction ends; false when there is none. */
export async function holdAvatar(tx: Tx, hash: string, now: Date): Promise<boolean> {
  const result = await tx
    .updateTable("avatars")
    .set({ kept_at: now.getTime() })
    .where("hash", "=", hash)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/**
 * Removes a picture that nobody has any more; once whoever had it has another,
 * or is gone. Whoever is about to have it is waited for.
 *
 * @param stored what their row held, of ours or not
 */
export async function releaseAvatar(tx: Tx, stored: string): Promise<void> {
  const hash = findHash(stored);
  if (hash === undefined) return;
  await tx.selectFrom("avatars").select("hash").where("hash", "=", hash).$call(forUpdate(tx)).execute();
  // In these words the indexes of those who have one of ours serve the question.
  const has = (avatar: string) =>
    sql<boolean>`${sql.ref(avatar)} = ${avatarsPath + hash} and ${sql.ref(avatar)} like '/avatars/%'`;
  await tx
    .deleteFrom("avatars")
    .where("hash", "=", hash)
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom("users").select("id").where(has("users.avatar")))),
    )
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom("organizations").select("id").where(has("organizations.avatar")))),
    )
    .execute();
}

/** A picture by its hash. */
export async function findAvatar(reader: Reader, hash: string): Promise<Picture | undefined> {
  const row = await reader.selectFrom("avatars").selectAll().where("hash", "=", hash).executeTakeFirst();
  return row && { type: row.media_type, bytes: Buffer.from(row.content, "base64") };
}
