/**
 * What a caller may do now, asked in the words of Frontier's clients:
 * a permission, and the organization or project it is asked for.
 *
 * Everything is read from the database as it is, by the same rules that the
 * methods themselves follow. What cannot be told apart from what the caller
 * may not see is answered alike: unknown permissions, unknown or foreign
 * resources, and words that mean nothing are all refused, and are no errors.
 */
import { isUuid } from "../lib/ids.ts";
import type { Principal, Role } from "../principals/principal.ts";
import { type Access, type AccessNeed, isAtLeast } from "./access.ts";
import type { FrontierScope } from "./frontier-roles.ts";
import type { FindVisibleProject } from "./project-service.ts";

/** A permission and what it is asked for, as a request names them. */
export interface PermissionQuestion {
  /** `update`, or in full `app_organization_update` or `app.organization.update`. */
  readonly permission: string;
  /** `app/organization:<id or name>` or `app/project:<id>`; `organization`, `org` and `project` are short for them. */
  readonly resource: string;
}

const organizationNeeds = new Map<string, AccessNeed>([
  ["get", { role: "viewer", writes: false }],
  ["projectlist", { role: "manager", writes: false }],
  ["grouplist", { role: "manager", writes: false }],
  ["invitationlist", { role: "manager", writes: false }],
  ["update", { role: "manager", writes: true }],
  ["projectcreate", { role: "manager", writes: true }],
  ["serviceusermanage", { role: "manager", writes: true }],
  ["invitationcreate", { role: "owner", writes: true }],
  ["rolemanage", { role: "owner", writes: true }],
  ["policymanage", { role: "owner", writes: true }],
  // A disabled organization can still be deleted, by superusers: nobody else has access to it.
  ["delete", { role: "owner", writes: false }],
]);

/** In a project's organization; whoever sees a project has the permissions that are not here. */
const projectNeeds = new Map<string, AccessNeed>([
  ["update", { role: "manager", writes: true }],
  ["policymanage", { role: "manager", writes: true }],
  ["delete", { role: "manager", writes: true }],
]);

const ofWhoSeesProject: ReadonlySet<string> = new Set(["get", "resourcelist"]);

const scopes: ReadonlyMap<string, FrontierScope> = new Map([
  ["app/organization", "app/organization"],
  ["organization", "app/organization"],
  ["org", "app/organization"],
  ["app/project", "app/project"],
  ["project", "app/project"],
]);

/** Parts that permissions are told by. */
export interface PermissionOptions {
  readonly access: Pick<Access, "allows">;
  readonly findVisibleProject: FindVisibleProject;
  /** The organization of a project; undefined where there is no such project. */
  readonly findProjectOrganization: (projectId: string) => Promise<string | undefined>;
}

/** Whether a caller has a permission now. Never throws for what the question says. */
export type HasPermission = (caller: Principal, question: PermissionQuestion) => Promise<boolean>;

/** The short name of a permission; one that is written in full is of its own kind of resource alone. */
function toShortName(permission: string, scope: FrontierScope): string {
  const [service, kind, name, ...more] = permission.split(permission.includes("_") ? "_" : ".");
  if (kind === undefined) return permission;
  return name !== undefined && more.length === 0 && `${service}/${kind}` === scope ? name : "";
}

/** Whether a role in its organization has a permission on a project that is seen and whose organization is enabled. */
export function isAllowedOnSeenProject(role: Role, permission: string): boolean {
  const name = toShortName(permission, "app/project");
  const need = projectNeeds.get(name);
  return need === undefined ? ofWhoSeesProject.has(name) : isAtLeast(role, need.role);
}

/** @see {@link HasPermission} */
export function createHasPermission(options: PermissionOptions): HasPermission {
  const { access, findVisibleProject, findProjectOrganization } = options;

  async function hasOnProject(caller: Principal, id: string, permission: string): Promise<boolean> {
    // A name is one organization's; clients of Frontier have ids.
    if (!isUuid(id)) return false;
    if (ofWhoSeesProject.has(permission)) return (await findVisibleProject(caller, id)) !== undefined;
    const need = projectNeeds.get(permission);
    if (need === undefined) return false;
    const orgId = await findProjectOrganization(id.toLowerCase());
    return orgId !== undefined && (await access.allows(caller, orgId, need));
  }

  return async (caller, { permission, resource }) => {
    const [kind = "", id = "", ...more] = resource.split(":");
    const scope = scopes.get(kind);
    if (scope === undefined || id === "" || more.length > 0) return false;
    const name = toShortName(permission, scope);
    if (scope === "app/project") return await hasOnProject(caller, id, name);
    const need = organizationNeeds.get(name);
    // Nothing that takes an owner is done by a personal access token.
    if (need === undefined || (caller.type === "pat" && need.role === "owner")) return false;
    return await access.allows(caller, id, need);
  };
}
