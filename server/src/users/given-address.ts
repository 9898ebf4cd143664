/**
 * An address that a provider has changed. The account takes it over where its
 * present one is what that very identity gave, of a domain that its provider
 * spoke for, as it speaks for the new one's; and nobody has the new one. The
 * address before is told and nothing can be undone: it is the provider's to give
 * to somebody else.
 */

import type { AuditEvent } from "../audit/audit.ts";
import type { Change } from "../changes/topics.ts";
import type { Tx } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import { type Identity, noteGivenEmail } from "./identity-store.ts";
import { type EndFlows, lockForMove, moveUser } from "./move.ts";
import { findUserByEmail, lockUser } from "./store.ts";
import { findHolder } from "./undo-store.ts";
import type { User } from "./user.ts";

/** What an identity provider says of somebody's address. */
interface SaidAddress {
  readonly email?: string;
  readonly emailVerified: boolean;
  readonly isAuthoritative: boolean;
}

/** An account that has another address, and what that leaves to be recorded and told. */
interface Moved {
  readonly user: User;
  readonly events: readonly AuditEvent[];
  readonly changes: readonly Change[];
  /** The address before. */
  readonly movedFrom: string;
}

/** What taking an address over stands on. */
export interface GivenAddressParts {
  readonly clock: Clock;
  readonly endFlows: EndFlows;
}

/** Holds the user of an identity, after the flows of an address that the identity gives them, if it does. */
export async function lockOwner(
  tx: Tx,
  known: Identity,
  identity: SaidAddress,
  { clock, endFlows }: GivenAddressParts,
): Promise<User | undefined> {
  const { email } = identity;
  const gives = email !== undefined && isGiver(known, identity) && (await isFree(tx, email, clock.now()));
  return gives ? await lockForMove(tx, known.userId, email, endFlows) : await lockUser(tx, known.userId);
}

/**
 * A locked user who has the address that their identity gives
 * now; undefined where it gives none, or none that is free.
 */
export async function takeGivenAddress(
  tx: Tx,
  before: User,
  known: Identity,
  identity: SaidAddress,
  { clock }: GivenAddressParts,
): Promise<Moved | undefined> {
  const { email = "" } = identity;
  const now = clock.now();
  const isPresent = known.email === before.email && before.emailProven;
  if (!isGiver(known, identity) || !isPresent || !(await isFree(tx, email, now))) return undefined;
  const user = { ...before, email, updatedAt: now };
  await moveUser(tx, before, user);
  await noteGivenEmail(tx, known, email);
  const { id, email: previous_email } = before;
  const details = { email, previous_email, sessions: "0", because: "identity" };
  return {
    user,
    events: [{ action: "user.change_email", target: id, mailbox: previous_email, details }],
    changes: [{ topic: "user", subject: id }],
    movedFrom: previous_email,
  };
}

function isGiver(known: Identity, { email, emailVerified, isAuthoritative }: SaidAddress): boolean {
  return known.gaveEmail && email !== undefined && email !== known.email && emailVerified && isAuthoritative;
}

async function isFree(tx: Tx, email: string, now: Date): Promise<boolean> {
  const user = await findUserByEmail(tx, email);
  return user === undefined && (await findHolder(tx, email, now)) === undefined;
}
