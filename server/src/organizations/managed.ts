import type { Reader, Tx } from "../db/database.ts";
import type { Principal } from "../principals/principal.ts";
import { isAtLeast } from "./access.ts";
import { findEnabledMemberships, lockMemberships } from "./member-store.ts";

/**
 * Which of these organizations a caller manages, of those that are enabled:
 * superusers manage all, a service user its own at most.
 *
 * @param orgIds in lower case.
 */
export async function findManagedIds(
  reader: Reader,
  caller: Principal,
  orgIds: readonly string[],
): Promise<ReadonlySet<string>> {
  if (caller.superuser) return new Set(orgIds);
  const memberships = caller.type === "user" ? await findEnabledMemberships(reader, caller.id) : [caller];
  const managed = memberships.filter(({ role }) => isAtLeast(role, "manager")).map(({ orgId }) => orgId);
  return new Set(orgIds.filter((id) => managed.includes(id)));
}

/** The same, where nobody takes a person's roles away until the transaction ends. */
export async function holdManagedIds(
  tx: Tx,
  caller: Principal,
  orgIds: readonly string[],
): Promise<ReadonlySet<string>> {
  if (caller.type === "user") await lockMemberships(tx, caller.id, orgIds);
  return await findManagedIds(tx, caller, orgIds);
}
