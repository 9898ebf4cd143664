import type { Tx } from "../db/database.ts";
import { DomainError, reasons } from "../lib/errors.ts";
import { type Principal, type Role, toActor } from "../principals/principal.ts";
import { findPatRole, isAtLeast } from "./access.ts";
import { countOwned, findMemberRole } from "./member-store.ts";
import { findMachineRole, findOrganizationNames, hasOwner, lockOrganization } from "./store.ts";

/**
 * Runs a step that may take owners from organizations, and answers besides
 * which of them it left without one: who is disabled is none. Steps on one
 * organization wait for each other, so two of them cannot each remove the
 * owner that the other relied on. The organizations are locked, in one order,
 * before whatever in them the step locks.
 */
export async function findLeftOwnerless<T>(
  tx: Tx,
  orgIds: readonly string[],
  step: () => Promise<T>,
): Promise<{ readonly result: T; readonly ownerless: readonly string[] }> {
  const owned: string[] = [];
  for (const orgId of orgIds.toSorted()) {
    await lockOrganization(tx, orgId);
    if (await hasOwner(tx, orgId)) owned.push(orgId);
  }
  const result = await step();
  const ownerless: string[] = [];
  for (const orgId of owned) if (!(await hasOwner(tx, orgId))) ownerless.push(orgId);
  return { result, ownerless };
}

/** How many organizations a refusal names. */
const mostNamed = 20;

/**
 * Refuses what left organizations without an owner, by name; nothing if there are none.
 *
 * @param wayOut what else the caller may do than make another owner, as a clause of the text.
 * @throws DomainError LAST_OWNER; the transaction must then roll back.
 */
export async function refuseOwnerless(tx: Tx, orgIds: readonly string[], wayOut = ""): Promise<void> {
  if (orgIds.length === 0) return;
  const told = orgIds.slice(0, mostNamed);
  const names = [...(await findOrganizationNames(tx, told)).values()].join(", ");
  const more = orgIds.length > told.length ? ` and ${orgIds.length - told.length} more` : "";
  const [, text] = reasons.LAST_OWNER;
  throw new DomainError("LAST_OWNER", {
    message: `${text}${wayOut}: ${names}${more}`,
    metadata: { org_ids: told.join(",") },
  });
}

/**
 * Runs a step that may take an owner from an organization, and refuses it if
 * none is left: an organization that has an owner keeps one.
 *
 * @throws DomainError LAST_OWNER; the transaction must then roll back.
 */
export async function keepingAnOwner<T>(tx: Tx, orgId: string, step: () => Promise<T>): Promise<T> {
  const { result, ownerless } = await findLeftOwnerless(tx, [orgId], step);
  await refuseOwnerless(tx, ownerless);
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
  caller: Pick<Principal, "superuser">,
  userId: string,
  { organizationsPerPerson }: OwnershipLimit,
): Promise<void> {
  if (caller.superuser || (await countOwned(tx, userId)) < organizationsPerPerson) return;
  throw new DomainError("TOO_MANY_ORGANIZATIONS", {
    message: `a person cannot own more than ${organizationsPerPerson} organizations: delete one, or have a superuser add another`,
  });
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
  const role = await findRoleNow(tx, caller, orgId);
  if (role === undefined || !isAtLeast(role, least)) {
    throw new DomainError("NOT_AUTHORIZED", {
      detail: `needs the role ${least}, has ${role ?? "none any more"}`,
    });
  }
}

async function findRoleNow(tx: Tx, caller: Principal, orgId: string): Promise<Role | undefined> {
  if (caller.type === "serviceuser") return await findMachineRole(tx, caller.id, orgId);
  const role = await findMemberRole(tx, toActor(caller).id, orgId);
  return role !== undefined && caller.type === "pat" ? findPatRole(caller, { orgId, role }) : role;
}
