/** As what a token may act: as Frontier's clients say it, and as it is kept. */
import { invalidFields } from "../lib/invalid-request.ts";
import { isAtLeast } from "../organizations/access.ts";
import { type FrontierScope, findFrontierRole, frontierRoles } from "../organizations/frontier-roles.ts";
import type { Role } from "../principals/principal.ts";
import type { TokenScope } from "./personal-token.ts";

/** A role on a type of resource, as a request says it. */
export interface ScopeEntry {
  readonly roleId: string;
  readonly resourceType: string;
  readonly resourceIds: readonly string[];
}

/** What tokens act in. */
export const tokenResources = ["app/organization", "app/project"] as const satisfies readonly FrontierScope[];

/** From this role on a token sees all projects of its organization. */
const seesAll: Role = "manager";

/** INVALID_REQUEST for what a token is to act as, in Frontier's words where it has some. */
export function invalidScope(description: string) {
  return invalidFields([{ field: "scopes", description }], (violation) => violation.description);
}

/**
 * Reads what a request says, without asking whose the token is.
 *
 * @throws DomainError INVALID_REQUEST naming `scopes`
 */
export function readScope(entries: readonly ScopeEntry[], orgId: string): TokenScope {
  let scope: TokenScope = {};
  for (const { roleId, resourceType, resourceIds } of entries) {
    const resource = tokenResources.find((each) => each === resourceType);
    if (resource === undefined) {
      throw invalidScope("role scope is not supported for personal access tokens");
    }
    const role = findFrontierRole(resource, roleId)?.role;
    if (role === undefined) {
      const isElsewhere = frontierRoles.some(({ id }) => id === roleId.toLowerCase());
      throw invalidScope(
        isElsewhere
          ? "role does not support the specified scope"
          : "one or more requested roles do not exist",
      );
    }
    const ids = [...new Set(resourceIds.map((id) => id.toLowerCase()))];
    const isOrganization = resource === "app/organization";
    if ((isOrganization ? scope.role : scope.projects) !== undefined) {
      throw invalidScope("only one role per resource type is allowed");
    }
    if (isOrganization && ids.some((id) => id !== orgId)) {
      throw invalidScope("a role in the organization takes no other resource than that");
    }
    scope = isOrganization ? { ...scope, role } : { ...scope, projects: { role, ids } };
  }
  if (scope.role !== undefined && isAtLeast(scope.role, seesAll) && scope.projects?.ids.length) {
    throw invalidScope("the role in the organization sees all projects: leave their ids out");
  }
  return scope;
}

/** The same as Frontier's clients read it, the organization first. */
export function toScopeEntries({ role, projects }: TokenScope): ScopeEntry[] {
  const entries: ScopeEntry[] = [];
  if (role !== undefined) entries.push(toEntry("app/organization", role, []));
  if (projects !== undefined) entries.push(toEntry("app/project", projects.role, projects.ids));
  return entries;
}

function toEntry(resource: FrontierScope, role: Role, resourceIds: readonly string[]): ScopeEntry {
  const found = frontierRoles.find((each) => each.scope === resource && each.role === role);
  if (found === undefined) throw new Error(`there is no role ${role} on ${resource}`);
  return { roleId: found.id, resourceType: resource, resourceIds };
}

/** Whether a token may do something by `after` that it could not by `before`, whatever its owner is one day. */
export function isWider(after: TokenScope, before: TokenScope): boolean {
  if (after.role !== undefined && (before.role === undefined || !isAtLeast(before.role, after.role)))
    return true;
  const now = toNamed(after);
  const then = toNamed(before);
  return then !== "all" && (now === "all" || now.some((id) => !then.includes(id)));
}

function toNamed({ projects }: TokenScope): "all" | readonly string[] {
  if (projects === undefined) return [];
  return projects.ids.length === 0 ? "all" : projects.ids;
}

/** Of the projects that the token's owner sees those that it sees. */
export function toProjects(scope: TokenScope): "all" | readonly string[] {
  return scope.role !== undefined && isAtLeast(scope.role, seesAll) ? "all" : toNamed(scope);
}

/** For the audit trail: roles by their names, projects by how many. */
export function describeScope({ role, projects }: TokenScope): string {
  const texts: string[] = [];
  if (role !== undefined) texts.push(`organization:${role}`);
  if (projects !== undefined) texts.push(`projects:${projects.ids.join("+") || "all"}`);
  return texts.join(",");
}
