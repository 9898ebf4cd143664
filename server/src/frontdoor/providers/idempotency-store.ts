import type { Reader, Tx } from "../../db/database.ts";
import { removeOld } from "../../db/remove-rows.ts";
import type { SealedColumn } from "../../encryption/sealer.ts";
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

/** Removes those that stand for nothing any more. */
export const deleteExpiredIdempotencyKeys = removeOld(
  "idempotency_keys",
  ["caller_id", "frontdoor_id", "key"],
  "expires_at",
);
