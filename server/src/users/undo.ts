import type { Tx } from "../db/database.ts";
import { DomainError } from "../lib/errors.ts";
import { findFirstUndo } from "./undo-store.ts";

/**
 * Refuses what would leave whoever undoes a change of address less than there
 * was before it: while one can be undone the account stays, and so does a way
 * in that was there.
 *
 * @param since when what is about to go came to be; default long ago.
 * @throws DomainError EMAIL_UNDO_OPEN
 */
export async function requireNoUndo(tx: Tx, userId: string, now: Date, since = new Date(0)): Promise<void> {
  const undo = await findFirstUndo(tx, userId, now);
  if (undo === undefined || since >= undo.changedAt) return;
  throw new DomainError("EMAIL_UNDO_OPEN", { metadata: { until: undo.expiresAt.toISOString() } });
}
