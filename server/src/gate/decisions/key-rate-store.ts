import type { Tx } from "../../db/database.ts";
import { removeOld } from "../../db/remove-rows.ts";

/** A window in which uses of an API key at a frontend are counted. */
export interface KeyWindow {
  readonly frontendId: string;
  readonly keyId: string;
  readonly perSeconds: number;
  /** Its start. */
  readonly windowAt: Date;
}

/** Adds uses to those of all processes, and answers how many there are then. */
export async function addKeyUses(tx: Tx, window: KeyWindow, count: number): Promise<number> {
  const windowAtMs = window.windowAt.getTime();
  const row = await tx
    .insertInto("api_key_uses")
    .values({
      frontend_id: window.frontendId,
      key_id: window.keyId,
      per_seconds: window.perSeconds,
      window_at: windowAtMs,
      count,
      // The window after it is the last that asks.
      ends_at: windowAtMs + 2 * window.perSeconds * 1000,
    })
    .onConflict((conflict) =>
      conflict.columns(["frontend_id", "key_id", "per_seconds", "window_at"]).doUpdateSet((eb) => ({
        count: eb("api_key_uses.count", "+", eb.ref("excluded.count")),
      })),
    )
    .returning("count")
    .executeTakeFirstOrThrow();
  return row.count;
}

/** Uses in a window, of all processes. */
export async function findKeyUses(tx: Tx, window: KeyWindow): Promise<number> {
  const row = await tx
    .selectFrom("api_key_uses")
    .select("count")
    .where("frontend_id", "=", window.frontendId)
    .where("key_id", "=", window.keyId)
    .where("per_seconds", "=", window.perSeconds)
    .where("window_at", "=", window.windowAt.getTime())
    .executeTakeFirst();
  return row?.count ?? 0;
}

/** Removes windows that nobody asks about any more. */
export const deletePastKeyUses = removeOld(
  "api_key_uses",
  ["frontend_id", "key_id", "per_seconds", "window_at"],
  "ends_at",
);
