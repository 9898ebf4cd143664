/**
 * Access to service users: which of them a caller may see, and which change.
 *
 * Every operation first asks whether the caller may act in the organization,
 * then works on the pair (organization, service user): an id of another
 * organization is not found. A service user with a role above the caller's is
 * not the caller's to change: whoever can make a credential for it could act as it.
 */
import type { Reader, Tx } from "../db/database.ts";
import { DomainError } from "../lib/errors.ts";
import { type GrantedAccess, isAtLeast } from "../organizations/access.ts";
import type { Caller } from "../principals/principal.ts";
import type { ServiceUser } from "./service-user.ts";
import * as store from "./store.ts";

/** A service user, as a request names it. */
export interface ServiceUserRef {
  readonly id: string;
  /** The organization's id or name. */
  readonly org: string;
}

/** What reading needs. */
export const reads = { role: "viewer", writes: false } as const;

/** What changing needs. */
export const writes = { role: "manager", writes: true } as const;

/** A service user of an organization. @throws DomainError SERVICE_USER_NOT_FOUND */
export async function getServiceUserIn(reader: Reader, orgId: string, id: string): Promise<ServiceUser> {
  return requireOf(orgId, await store.findServiceUser(reader, id.toLowerCase()));
}

/**
 * A service user that the caller may change, held until the transaction ends.
 *
 * @throws DomainError SERVICE_USER_NOT_FOUND, NOT_AUTHORIZED
 */
export async function lockWritable(
  tx: Tx,
  caller: Caller,
  granted: GrantedAccess,
  id: string,
): Promise<ServiceUser> {
  const target = requireOf(granted.organization.id, await store.lockServiceUser(tx, id.toLowerCase()));
  const isAbove = target.superuser || !isAtLeast(granted.role, target.role);
  if (isAbove && !caller.principal.superuser) {
    throw new DomainError("NOT_AUTHORIZED", { detail: "the service user's role is above the caller's" });
  }
  return target;
}

function requireOf(orgId: string, serviceUser: ServiceUser | undefined): ServiceUser {
  if (serviceUser?.orgId !== orgId) throw new DomainError("SERVICE_USER_NOT_FOUND");
  return serviceUser;
}
