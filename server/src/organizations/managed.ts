import type { Reader, Tx } from "../db/database.ts";
import { type PatPrincipal, type Principal, toActor, type UserPrincipal } from "../principals/principal.ts";
import { findPatRole, isAtLeast } from "./access.ts";
import { findEnabledMemberships, lockMemberships } from "./member-store.ts";

/**
 * Which of these organizations a caller manages, of those that are enabled:
 * superusers manage all, a service user or a personal access token its own at most.
 *
 * @param orgIds in lower case.
 */
export async function findManagedIds(
  reader: Reader,
  caller: Principal,
  orgIds: readonly string[],
): Promise<ReadonlySet<string>> {
  if (caller.superuser) return new Set(orgIds);
  const roles = caller.type === "serviceuser" ? [caller] : await findRolesOf(reader, caller);
  const managed = roles.filter(({ role }) => isAtLeast(role, "manager")).map(({ orgId }) => orgId);
  return new Set(orgIds.filter((id) => managed.includes(id)));
}

/** What a person is, and where; by their token no more than it is. */
async function findRolesOf(reader: Reader, caller: UserPrincipal | PatPrincipal) {
  const memberships = await findEnabledMemberships(reader, toActor(caller).id);
  return memberships.flatMap(({ orgId, role }) => {
    const own = caller.type === "user" ? role : findPatRole(caller, { orgId, role });
    return own === undefined ? [] : [{ orgId, role: own }];
  });
}

/** The same, where nobody takes a person's roles away until the transaction ends. */
export async function holdManagedIds(
  tx: Tx,
  caller: Principal,
  orgIds: readonly string[],
): Promise<ReadonlySet<string>> {
  if (caller.type !== "serviceuser") await lockMemberships(tx, toActor(caller).id, orgIds);
  return await findManagedIds(tx, caller, orgIds);
}
