import type { Tx } from "../db/database.ts";
import { DomainError } from "../lib/errors.ts";
import type { Principal, Role } from "../principals/principal.ts";
import { isAtLeast } from "./access.ts";
import { countOwned, findMemberRole } from "./member-store.ts";
import { countOwners, findMachineRole, lockOrganization } from "./store.ts";

/**
 * Runs a step that may take an owner from an organization, and refuses it if
 * none is left: an organization that has an owner keeps one. Steps on one
 * organization wait for each other, so two of them cannot each remove the
 * owner that the other relied on. The organization is locked before whatever
 * in it the step locks.
 *
 * @throws DomainError LAST_OWNER; the transaction must then roll back.
 */
export async function keepingAnOwner<T>(tx: Tx, orgId: string, step: () => Promise<T>): Promise<T> {
  await lockOrganization(tx, orgId);
  const before = await countOwners(tx, orgId);
  const result = await step();
  if (before > 0 && (await countOwners(tx, orgId)) === 0) throw new DomainError("LAST_OWNER");
  return result;
}

/** How many organizations a person may own. @see {@link requireRoomToOwn} */
export interface OwnershipLimit {
  readonly organizationsPerPerson: number;
}

/**
 * Whether a person may own one organization more; lock them before. Superusers
 * may own, and give, as many as they like.
 *
 * @throws DomainError TOO_MANY_ORGANIZATIONS
 */
export async function requireRoomToOwn(
  tx: Tx,
  caller: Principal,
  userId: string,
  { organizationsPerPerson }: OwnershipLimit,
): Promise<void> {
  if (caller.superuser || (await countOwned(tx, userId)) < organizationsPerPerson) return;
  throw new DomainError("TOO_MANY_ORGANIZATIONS");
}

/**
 * Locks an organization and asks anew what the caller is in it: whoever was
 * demoted, removed or disabled between being let in and now gives nobody a
 * role any more.
 *
 * @param least the least role that may do what comes next.
 * @throws DomainError NOT_AUTHORIZED
 */
export async function lockForGrant(tx: Tx, caller: Principal, orgId: string, least: Role): Promise<void> {
  await lockOrganization(tx, orgId);
  if (caller.superuser) return;
  const isUser = caller.type === "user";
  const role = await (isUser ? findMemberRole(tx, caller.id, orgId) : findMachineRole(tx, caller.id, orgId));
  if (role === undefined || !isAtLeast(role, least)) {
    throw new DomainError("NOT_AUTHORIZED", {
      detail: `needs the role ${least}, has ${role ?? "none any more"}`,
    });
  }
}
