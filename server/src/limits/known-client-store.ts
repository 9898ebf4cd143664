import type { Reader, Tx } from "../db/database.ts";
import { removeOld } from "../db/remove-rows.ts";

/** A client that has proven itself, and the block of addresses it came from. */
export interface KnownClient {
  readonly block: string;
  readonly clientId: string;
}

/** From how many blocks a client is known: one credential must not fill the table. */
export const blocksPerClient = 20;

/** Notes clients as seen, each from its latest {@link blocksPerClient} blocks. */
export async function upsertKnownClients(
  tx: Tx,
  clients: readonly (KnownClient & { readonly at: Date })[],
): Promise<void> {
  for (const { block, clientId, at } of clients) {
    await tx
      .insertInto("known_clients")
      .values({ block, client_id: clientId, seen_at: at.getTime() })
      .onConflict((conflict) =>
        conflict.columns(["block", "client_id"]).doUpdateSet({ seen_at: at.getTime() }),
      )
      .execute();
    await tx
      .deleteFrom("known_clients")
      .where("client_id", "=", clientId)
      .where("seen_at", "<", (of) =>
        of
          .selectFrom("known_clients")
          .select("seen_at")
          .where("client_id", "=", clientId)
          .orderBy("seen_at", "desc")
          .offset(blocksPerClient - 1)
          .limit(1),
      )
      .execute();
  }
}

/** Ids of the clients that were seen from a block, the latest first. */
export async function findKnownClients(reader: Reader, block: string, limit: number): Promise<string[]> {
  const rows = await reader
    .selectFrom("known_clients")
    .select("client_id")
    .where("block", "=", block)
    .orderBy("seen_at", "desc")
    .limit(limit)
    .execute();
  return rows.map(({ client_id }) => client_id);
}

/** How long a client is known that does not come again. */
const knownForMs = 24 * 3600 * 1000;

/** Removes clients that have not come for a day. */
export const deleteForgottenClients = removeOld(
  "known_clients",
  ["block", "client_id"],
  "seen_at",
  knownForMs,
);
