import type { Reader, Tx } from "../../db/database.ts";
import { prepared } from "../../db/prepared.ts";
import type { ProxyTokenRow } from "../../db/schema.ts";
import { isUuid } from "../../lib/ids.ts";
import type { ProxyToken } from "./proxy-token.ts";

function toProxyToken(row: ProxyTokenRow): ProxyToken {
  return {
    id: row.id,
    frontdoorId: row.frontdoor_id,
    title: row.title,
    tokenHash: row.token_hash,
    createdAt: new Date(row.created_at),
    ...(row.last_used_at !== null && { lastUsedAt: new Date(row.last_used_at) }),
  };
}

/** Stores a new token. */
export async function insertProxyToken(tx: Tx, token: ProxyToken): Promise<void> {
  await tx
    .insertInto("proxy_tokens")
    .values({
      id: token.id,
      frontdoor_id: token.frontdoorId,
      title: token.title,
      token_hash: token.tokenHash,
      created_at: token.createdAt.getTime(),
      last_used_at: null,
    })
    .execute();
}

/** The tokens of a frontdoor, oldest first. */
export async function findProxyTokens(reader: Reader, frontdoorId: string): Promise<ProxyToken[]> {
  const rows = await reader
    .selectFrom("proxy_tokens")
    .selectAll()
    .where("frontdoor_id", "=", frontdoorId)
    .orderBy("id")
    .execute();
  return rows.map(toProxyToken);
}

const selectGood = prepared((database, { frontdoorId }: { frontdoorId: string }) =>
  database
    .selectFrom("proxy_tokens as t")
    .innerJoin("frontdoors as d", "d.id", "t.frontdoor_id")
    .selectAll("t")
    .select("d.org_id")
    .where("t.frontdoor_id", "=", frontdoorId)
    .where("d.deleted_at", "is", null),
);

/** The tokens that are good at a frontdoor. */
export interface GoodProxyTokens {
  /** The organization of the frontdoor. */
  readonly orgId: string;
  readonly tokens: readonly ProxyToken[];
}

/** The tokens that are good at a frontdoor; undefined when there are none, or the frontdoor is gone. */
export async function findGoodProxyTokens(
  reader: Reader,
  frontdoorId: string,
): Promise<GoodProxyTokens | undefined> {
  if (!isUuid(frontdoorId)) return undefined;
  const rows = await selectGood.all(reader, { frontdoorId });
  const [first] = rows;
  return first && { orgId: first.org_id, tokens: rows.map(toProxyToken) };
}

/** Removes a token of a frontdoor and answers it; undefined when there is none. */
export async function deleteProxyToken(
  tx: Tx,
  frontdoorId: string,
  id: string,
): Promise<ProxyToken | undefined> {
  if (!isUuid(id)) return undefined;
  const row = await tx
    .deleteFrom("proxy_tokens")
    .where("id", "=", id)
    .where("frontdoor_id", "=", frontdoorId)
    .returningAll()
    .executeTakeFirst();
  return row && toProxyToken(row);
}
