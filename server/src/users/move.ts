/**
 * An account's move to another address: what belongs to it wherever the address
 * comes from. Sign-ins under way for either address end before the user is
 * locked, in which order those take the two as well.
 */
import type { Tx } from "../db/database.ts";
import { forgetGivenEmail } from "./identity-store.ts";
import { findUser, lockUser, updateUser } from "./store.ts";
import type { User } from "./user.ts";

/** Ends sign-ins and changes under way for some addresses with `tx`, with their codes and links. */
export type EndFlows = (tx: Tx, emails: readonly string[]) => Promise<void>;

/** Holds a user who is to have another address, once the flows of both have ended; undefined for an unknown one. */
export async function lockForMove(
  tx: Tx,
  userId: string,
  email: string,
  endFlows: EndFlows,
): Promise<User | undefined> {
  const seen = await findUser(tx, userId);
  if (seen === undefined) return undefined;
  if (seen.email !== email) await endFlows(tx, [seen.email, email]);
  return await lockUser(tx, userId);
}

/**
 * Stores a locked user whose address is another than before: no identity has
 * given it. @throws a unique violation when the address is taken.
 */
export async function moveUser(tx: Tx, before: User, after: User): Promise<void> {
  await updateUser(tx, before, after);
  if (before.email !== after.email) await forgetGivenEmail(tx, before.id);
}
