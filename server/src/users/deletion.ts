/** The end of an account, whoever ends it. */
import type { AuditTrail } from "../audit/audit.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { Tx } from "../db/database.ts";
import { deleteInvitationsBy, deleteInvitationsTo } from "../organizations/invitation-store.ts";
import { findOrganizationIds } from "../organizations/member-store.ts";
import { findLeftOwnerless, refuseOwnerless } from "../organizations/owners.ts";
import type { Caller } from "../principals/principal.ts";
import type { EndFlows } from "./move.ts";
import { deleteUser, findUser, lockUser } from "./store.ts";
import type { User } from "./user.ts";

/** What the end of an account stands on. */
export interface DeletionParts {
  readonly feed: Pick<ChangeFeed, "append">;
  readonly audit: AuditTrail;
  readonly endFlows: EndFlows;
  /** Has the trail forget, with `tx`, what a deleted person was called and reached by. */
  readonly strikeOut: (tx: Tx, person: { readonly id: string; readonly email: string }) => Promise<void>;
}

/** Holds a user who is to go, once the sign-ins under way for their address have ended; undefined for an unknown one. */
export async function lockForDeletion(
  tx: Tx,
  id: string,
  { endFlows }: Pick<DeletionParts, "endFlows">,
): Promise<User | undefined> {
  const seen = await findUser(tx, id);
  if (seen === undefined) return undefined;
  await endFlows(tx, [seen.email]);
  // Nobody becomes a member of anything from here on, so none of the organizations is missed.
  return await lockUser(tx, id);
}

/**
 * Deletes a locked user with `tx`: with all that hangs on their row, with what
 * invites them or was sent by them, and in the trail what they were called.
 *
 * @throws DomainError LAST_OWNER; the transaction must then roll back.
 */
export async function deleteAccount(
  tx: Tx,
  caller: Caller,
  { id, email }: User,
  { feed, audit, strikeOut }: DeletionParts,
): Promise<void> {
  const orgIds = await findOrganizationIds(tx, id);
  const { ownerless } = await findLeftOwnerless(tx, orgIds, () => deleteUser(tx, id));
  await refuseOwnerless(tx, ownerless);
  await audit.record(tx, caller, { action: "user.delete", target: id, mailbox: email });
  // Organizations hear of it too: a member is gone, and who was invited.
  const because = "user.delete";
  for (const orgId of orgIds) {
    await audit.record(tx, caller, { action: "member.remove", target: id, orgId, details: { because } });
  }
  const uninvited = [
    ...(await deleteInvitationsTo(tx, email, because)),
    ...(await deleteInvitationsBy(tx, { type: "user", id }, because)),
  ];
  for (const event of uninvited) await audit.record(tx, caller, event);
  await strikeOut(tx, { id, email });
  await feed.append(tx, { topic: "user", subject: id });
}
