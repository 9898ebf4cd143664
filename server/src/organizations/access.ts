/**
 * Who may do what in an organization.
 *
 * Viewers read, managers also write, owners also govern. Superusers do
 * everything. An organization that does not exist answers as one in which the
 * caller has no role, so that names cannot be probed.
 */
import { DomainError } from "../lib/errors.ts";
import { type PatPrincipal, type Principal, type Role, roles } from "../principals/principal.ts";
import type { Organization } from "./organization.ts";

/** Whether `role` allows at least what `minimum` does. */
export function isAtLeast(role: Role, minimum: Role): boolean {
  return roles.indexOf(role) >= roles.indexOf(minimum);
}

/** The weaker of two roles. */
export function toWeaker(one: Role, other: Role): Role {
  return isAtLeast(one, other) ? other : one;
}

/** What a personal access token is by a membership of its owner's: no more than either. */
export function findPatRole(
  pat: Pick<PatPrincipal, "orgId" | "role">,
  membership: { readonly orgId: string; readonly role: Role },
): Role | undefined {
  if (pat.role === undefined || pat.orgId !== membership.orgId) return undefined;
  return toWeaker(pat.role, membership.role);
}

/** What a caller is about to do in an organization. */
export interface AccessNeed {
  /** The least role that may. */
  readonly role: Role;
  /** Whether something is about to change: refused in a disabled organization. */
  readonly writes: boolean;
}

/** An organization the caller may act in, and as what. */
export interface GrantedAccess {
  readonly organization: Organization;
  /** The caller's own role; superusers act as owners. */
  readonly role: Role;
}

/** Nobody grants a role above their own. @throws DomainError NOT_AUTHORIZED */
export function requireGrantable(granted: GrantedAccess, role: Role): void {
  if (isAtLeast(granted.role, role)) return;
  throw new DomainError("NOT_AUTHORIZED", { detail: `a ${granted.role} cannot grant the role ${role}` });
}

/**
 * Nobody whose address was never proven makes what would outlast their
 * session: an organization, a machine or its credentials, a role for others.
 * Whoever proves the mailbox takes the account over, and must not come by a
 * stranger's. Asked of the principal as it was authenticated, so that a call
 * which is under way while that happens makes nothing either.
 *
 * @throws DomainError ADDRESS_UNPROVEN
 */
export function requireProven(principal: Principal): void {
  if (principal.type === "user" && !principal.emailProven) throw new DomainError("ADDRESS_UNPROVEN");
}

/** Reads what access depends on. */
export interface AccessSource {
  findOrganization(idOrName: string): Promise<Organization | undefined>;
  /** The role a user holds in an organization. */
  findMemberRole(userId: string, orgId: string): Promise<Role | undefined>;
}

/** Decides whether a caller may act in an organization. */
export interface Access {
  /**
   * @param org id or name.
   * @throws DomainError NOT_AUTHORIZED (unknown, foreign or too low a role), ORGANIZATION_DISABLED.
   */
  require(caller: Principal, org: string, need: AccessNeed): Promise<GrantedAccess>;
  /** Whether {@link Access.require} would let the caller. @param org id or name. */
  allows(caller: Principal, org: string, need: AccessNeed): Promise<boolean>;
}

/** @see {@link Access} */
export function createAccess(source: AccessSource): Access {
  async function findRole(caller: Principal, orgId: string): Promise<Role | undefined> {
    if (caller.superuser) return "owner";
    if (caller.type === "user") return await source.findMemberRole(caller.id, orgId);
    // Of a personal access token that is the weaker of its own and its owner's, as of this request.
    return caller.orgId === orgId ? caller.role : undefined;
  }

  /** The access, or why there is none. */
  async function judge(
    caller: Principal,
    org: string,
    need: AccessNeed,
  ): Promise<GrantedAccess | DomainError> {
    const organization = await source.findOrganization(org);
    if (organization === undefined) return notAuthorized("unknown organization");
    const role = await findRole(caller, organization.id);
    if (role === undefined) return notAuthorized("no role in the organization");
    if (!isAtLeast(role, need.role)) return notAuthorized(`needs the role ${need.role}, has ${role}`);
    if (organization.state === "disabled" && (need.writes || !caller.superuser)) {
      return new DomainError("ORGANIZATION_DISABLED");
    }
    return { organization, role };
  }

  return {
    async require(caller, org, need) {
      const judged = await judge(caller, org, need);
      if (judged instanceof DomainError) throw judged;
      return judged;
    },
    allows: async (caller, org, need) => !((await judge(caller, org, need)) instanceof DomainError),
  };
}

function notAuthorized(detail: string): DomainError {
  return new DomainError("NOT_AUTHORIZED", { detail });
}
