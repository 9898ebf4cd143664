/**
 * Removing what deleted frontdoors held: some rows in each transaction, from
 * the leaves up, so that no statement cascades over more than it was asked to.
 */
import type { Tx } from "../db/database.ts";
import { forUpdate } from "../db/dialect.ts";
import { type Removal, removeRows } from "../db/remove-rows.ts";
import type { Schema } from "../db/schema.ts";

/**
 * Removes up to about `limit` rows of one deleted frontdoor, the frontdoor's
 * own the last. False when there is no deleted frontdoor any more.
 */
export async function removeFromDeletedFrontdoor(tx: Tx, limit: number): Promise<boolean> {
  const gone = await tx
    .selectFrom("frontdoors")
    .select("id")
    .where("deleted_at", "is not", null)
    .orderBy("deleted_at")
    .limit(1)
    // Two processes that sweep take turns, instead of each other's rows.
    .$call(forUpdate(tx))
    .executeTakeFirst();
  if (gone === undefined) return false;
  const hasMore = (await removeProviders(tx, gone.id, limit)) || (await removeOthers(tx, gone.id, limit));
  if (!hasMore) await tx.deleteFrom("frontdoors").where("id", "=", gone.id).execute();
  return true;
}

/** True when there may be more of them. */
async function removeProviders(tx: Tx, frontdoorId: string, limit: number): Promise<boolean> {
  const rows = await tx
    .selectFrom("auth_providers")
    .select("id")
    .where("frontdoor_id", "=", frontdoorId)
    .orderBy("id")
    .limit(limit)
    .execute();
  if (rows.length === 0) return false;
  const ids = rows.map(({ id }) => id);
  const hasMore =
    (await isFull(tx, limit, {
      table: "auth_provider_api_keys",
      key: ["id"],
      where: (eb) => eb("provider_id", "in", ids),
    })) ||
    (await isFull(tx, limit, {
      table: "auth_provider_revisions",
      key: ["provider_id", "revision"],
      where: (eb) => eb("provider_id", "in", ids),
    }));
  if (!hasMore) await tx.deleteFrom("auth_providers").where("id", "in", ids).execute();
  return true;
}

/** What else grows without end, in turn. True when there may be more of it. */
async function removeOthers(tx: Tx, frontdoorId: string, limit: number): Promise<boolean> {
  return (
    (await isFull(tx, limit, {
      table: "auth_provider_changes",
      key: ["frontdoor_id", "seq"],
      where: (eb) => eb("frontdoor_id", "=", frontdoorId),
    })) ||
    (await isFull(tx, limit, {
      table: "custom_frontends",
      key: ["id"],
      where: (eb) => eb("frontdoor_id", "=", frontdoorId),
    })) ||
    (await isFull(tx, limit, {
      table: "idempotency_keys",
      key: ["caller_id", "frontdoor_id", "key"],
      where: (eb) => eb("frontdoor_id", "=", frontdoorId),
    }))
  );
}

/** Removes up to `limit` rows. True when there were as many, and may be more. */
async function isFull<T extends keyof Schema>(tx: Tx, limit: number, removal: Removal<T>): Promise<boolean> {
  return (await removeRows(tx, removal, limit)) === limit;
}
