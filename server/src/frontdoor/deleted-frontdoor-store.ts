/**
 * Removing what deleted frontdoors held: some rows in each transaction, from
 * the leaves up, so that no statement cascades over more than it was asked to.
 */
import type { Tx } from "../db/database.ts";
import { forUpdate } from "../db/dialect.ts";
import { deleteIdempotencyKeysOf } from "./providers/idempotency-store.ts";

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
  const isFull = (await removeProviders(tx, gone.id, limit)) || (await removeOthers(tx, gone.id, limit));
  if (!isFull) await tx.deleteFrom("frontdoors").where("id", "=", gone.id).execute();
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
  if ((await removeKeys(tx, ids, limit)) === limit) return true;
  if ((await removeRevisions(tx, ids, limit)) === limit) return true;
  await tx.deleteFrom("auth_providers").where("id", "in", ids).execute();
  return true;
}

async function removeKeys(tx: Tx, providerIds: readonly string[], limit: number): Promise<number> {
  const some = tx
    .selectFrom("auth_provider_api_keys")
    .select("id")
    .where("provider_id", "in", providerIds)
    .limit(limit);
  const result = await tx.deleteFrom("auth_provider_api_keys").where("id", "in", some).executeTakeFirst();
  return Number(result.numDeletedRows);
}

async function removeRevisions(tx: Tx, providerIds: readonly string[], limit: number): Promise<number> {
  const some = tx
    .selectFrom("auth_provider_revisions")
    .select(["provider_id", "revision"])
    .where("provider_id", "in", providerIds)
    .limit(limit);
  const result = await tx
    .deleteFrom("auth_provider_revisions")
    .where((eb) => eb(eb.refTuple("provider_id", "revision"), "in", some.$asTuple("provider_id", "revision")))
    .executeTakeFirst();
  return Number(result.numDeletedRows);
}

/** What else grows without end, in turn. True when there may be more of it. */
async function removeOthers(tx: Tx, frontdoorId: string, limit: number): Promise<boolean> {
  for (const remove of [removeChanges, removeFrontends, deleteIdempotencyKeysOf]) {
    if ((await remove(tx, frontdoorId, limit)) === limit) return true;
  }
  return false;
}

async function removeChanges(tx: Tx, frontdoorId: string, limit: number): Promise<number> {
  const some = tx
    .selectFrom("auth_provider_changes")
    .select(["frontdoor_id", "seq"])
    .where("frontdoor_id", "=", frontdoorId)
    .limit(limit);
  const result = await tx
    .deleteFrom("auth_provider_changes")
    .where((eb) => eb(eb.refTuple("frontdoor_id", "seq"), "in", some.$asTuple("frontdoor_id", "seq")))
    .executeTakeFirst();
  return Number(result.numDeletedRows);
}

async function removeFrontends(tx: Tx, frontdoorId: string, limit: number): Promise<number> {
  const some = tx
    .selectFrom("custom_frontends")
    .select("id")
    .where("frontdoor_id", "=", frontdoorId)
    .limit(limit);
  const result = await tx.deleteFrom("custom_frontends").where("id", "in", some).executeTakeFirst();
  return Number(result.numDeletedRows);
}
