import type { Reader, Tx } from "../../db/database.ts";
import type { SealedColumn } from "../../encryption/sealed-column.ts";
import { answerColumn } from "./columns.ts";
import type { ProviderSummary } from "./provider.ts";

/** Where what requests were is kept: their secrets could be guessed from a bare hash. */
export const idempotencyColumn: SealedColumn = {
  purpose: "idempotency",
  table: "idempotency_keys",
  column: "sealed_request",
  keyColumns: ["caller_id", "frontdoor_id", "key"],
  toRowId: (key) => JSON.stringify(key),
};

/** What names a request that may be repeated. */
export interface IdempotencyRef {
  readonly callerId: string;
  readonly frontdoorId: string;
  readonly key: string;
}

/** The first request under a key, and what it was answered. */
export interface IdempotentAnswer {
  readonly sealedRequest: string;
  readonly answer: ProviderSummary;
}

/** What a key stands for, if it does still. */
export async function findIdempotentAnswer(
  reader: Reader,
  ref: IdempotencyRef,
  now: Date,
): Promise<IdempotentAnswer | undefined> {
  const row = await reader
    .selectFrom("idempotency_keys")
    .select(["sealed_request", "answer"])
    .where("caller_id", "=", ref.callerId)
    .where("frontdoor_id", "=", ref.frontdoorId)
    .where("key", "=", ref.key)
    .where("expires_at", ">", now.getTime())
    .executeTakeFirst();
  return row && { sealedRequest: row.sealed_request, answer: answerColumn.decode(row.answer) };
}

/** Stores what a key stands for until then, in place of what it stood for. */
export async function upsertIdempotentAnswer(
  tx: Tx,
  ref: IdempotencyRef,
  { sealedRequest, answer }: IdempotentAnswer,
  expiresAt: Date,
): Promise<void> {
  const own = {
    sealed_request: sealedRequest,
    answer: answerColumn.encode(answer),
    expires_at: expiresAt.getTime(),
  };
  await tx
    .insertInto("idempotency_keys")
    .values({ caller_id: ref.callerId, frontdoor_id: ref.frontdoorId, key: ref.key, ...own })
    .onConflict((conflict) => conflict.columns(["caller_id", "frontdoor_id", "key"]).doUpdateSet(own))
    .execute();
}

/** Removes up to `limit` of those that stand for nothing any more, and answers how many there were. */
export async function deleteIdempotencyKeysBefore(tx: Tx, now: Date, limit: number): Promise<number> {
  return await deleteSome(tx, limit, (keys) => keys.where("expires_at", "<=", now.getTime()));
}

/** Removes up to `limit` of a frontdoor's, and answers how many there were. */
export async function deleteIdempotencyKeysOf(tx: Tx, frontdoorId: string, limit: number): Promise<number> {
  return await deleteSome(tx, limit, (keys) => keys.where("frontdoor_id", "=", frontdoorId));
}

async function deleteSome(
  tx: Tx,
  limit: number,
  choose: (keys: ReturnType<typeof selectKeys>) => ReturnType<typeof selectKeys>,
): Promise<number> {
  const some = choose(selectKeys(tx)).limit(limit);
  const result = await tx
    .deleteFrom("idempotency_keys")
    .where((eb) =>
      eb(
        eb.refTuple("caller_id", "frontdoor_id", "key"),
        "in",
        some.$asTuple("caller_id", "frontdoor_id", "key"),
      ),
    )
    .executeTakeFirst();
  return Number(result.numDeletedRows);
}

function selectKeys(tx: Tx) {
  return tx.selectFrom("idempotency_keys").select(["caller_id", "frontdoor_id", "key"]);
}
