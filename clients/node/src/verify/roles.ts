import type { AccessTokenClaims } from "./claims.ts";

/** Roles in an organization, weakest first: each may do what those before it may. */
export const roles = ["viewer", "manager", "owner"] as const;

/** A role in an organization. */
export type Role = (typeof roles)[number];

/**
 * The role that a token says its principal has in an organization, by id.
 *
 * As of when the token was issued, at most its lifetime ago. A person's token
 * for very many organizations tells no roles: ask for one for the organization
 * that matters.
 */
export function findRole(claims: AccessTokenClaims, organization: string): Role | undefined {
  const { organizations = {}, org_id, roles: ofOne = [] } = claims;
  if (organization === "") return undefined;
  const said = Object.hasOwn(organizations, organization) ? organizations[organization]?.roles : undefined;
  const held = said ?? (org_id === organization ? ofOne : []);
  return roles.findLast((role) => held.includes(role));
}

/** Whether a token says that its principal has a role in an organization, by id, or a stronger one. */
export function hasRole(claims: AccessTokenClaims, role: Role, organization: string): boolean {
  const held = findRole(claims, organization);
  return held !== undefined && roles.indexOf(held) >= roles.indexOf(role);
}
