import type { Reader, Tx } from "../../db/database.ts";
import { prepared } from "../../db/prepared.ts";
import { removeOld } from "../../db/remove-rows.ts";
import type { AuthProviderApiKeyRow } from "../../db/schema.ts";
import { isUuid } from "../../lib/ids.ts";
import type { IdRange } from "../../lib/page-token.ts";
import type { ApiKey } from "./api-key.ts";

function toApiKey(row: AuthProviderApiKeyRow): ApiKey {
  return {
    id: row.id,
    providerId: row.provider_id,
    title: row.title,
    keyHash: row.key_hash,
    createdAt: new Date(row.created_at),
    expiresAt: new Date(row.expires_at),
    ...(row.last_used_at !== null && { lastUsedAt: new Date(row.last_used_at) }),
  };
}

/** Stores a new key. */
export async function insertApiKey(tx: Tx, key: ApiKey): Promise<void> {
  await tx
    .insertInto("auth_provider_api_keys")
    .values({
      id: key.id,
      provider_id: key.providerId,
      title: key.title,
      key_hash: key.keyHash,
      created_at: key.createdAt.getTime(),
      expires_at: key.expiresAt.getTime(),
      last_used_at: null,
    })
    .execute();
}

/** Keys of a provider after an id, oldest first. */
export async function findApiKeys(
  reader: Reader,
  providerId: string,
  { afterId, limit }: IdRange,
): Promise<ApiKey[]> {
  const rows = await reader
    .selectFrom("auth_provider_api_keys")
    .selectAll()
    .where("provider_id", "=", providerId)
    .where("id", ">", afterId)
    .orderBy("id")
    .limit(limit)
    .execute();
  return rows.map(toApiKey);
}

/** How many keys of a provider have not expired. */
export async function countLiveApiKeys(reader: Reader, providerId: string, now: Date): Promise<number> {
  const row = await reader
    .selectFrom("auth_provider_api_keys")
    .select((eb) => eb.fn.countAll<number>().as("count"))
    .where("provider_id", "=", providerId)
    .where("expires_at", ">", now.getTime())
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

const selectByHash = prepared((database, { keyHash }: { keyHash: string }) =>
  database.selectFrom("auth_provider_api_keys").selectAll().where("key_hash", "=", keyHash),
);

/** The key with this hash, expired or not, if it is the provider's. */
export async function findApiKey(
  reader: Reader,
  providerId: string,
  keyHash: string,
): Promise<ApiKey | undefined> {
  const row = await selectByHash.first(reader, { keyHash });
  return row?.provider_id === providerId ? toApiKey(row) : undefined;
}

/** Removes a key of a provider and answers it; undefined when there is none. */
export async function deleteApiKey(tx: Tx, providerId: string, id: string): Promise<ApiKey | undefined> {
  if (!isUuid(id)) return undefined;
  const row = await tx
    .deleteFrom("auth_provider_api_keys")
    .where("id", "=", id)
    .where("provider_id", "=", providerId)
    .returningAll()
    .executeTakeFirst();
  return row && toApiKey(row);
}

/** How long an expired key is kept to be looked at, in milliseconds. */
const expiredKeysKeptMs = 90 * 86_400_000;

/** Removes keys that expired long ago. */
export const deleteExpiredApiKeys = removeOld(
  "auth_provider_api_keys",
  ["id"],
  "expires_at",
  expiredKeysKeptMs,
);
