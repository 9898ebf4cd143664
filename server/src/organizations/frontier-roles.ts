import type { Role } from "../principals/principal.ts";

/** What Frontier grants roles on, as it names the kind of a resource. */
export type FrontierScope = "app/organization" | "app/project";

/** A role as Frontier's clients know it: by an id that is the same in every deployment, and a name. */
export interface FrontierRole {
  readonly id: string;
  readonly name: string;
  readonly title: string;
  readonly scope: FrontierScope;
  /**
   * Ours of the same name. A project has members without roles: there each of
   * the three means no more than being one.
   */
  readonly role: Role;
  /** By the names Frontier has for them; to be shown, nothing is decided by it. */
  readonly permissions: readonly string[];
}

/**
 * All roles, strongest first. Titles and names are Frontier's, which its
 * screens look for; the ids are UUIDv5 (RFC 9562 §5.5) of the names in the
 * namespace of object identifiers.
 */
export const frontierRoles: readonly FrontierRole[] = [
  {
    id: "c1790d5d-a473-5a2c-8d7f-3858cd73fc5f",
    name: "app_organization_owner",
    title: "Owner",
    scope: "app/organization",
    role: "owner",
    // The second follows from the first; the form for personal tokens looks for it by name.
    permissions: ["app_organization_administer", "app_organization_update"],
  },
  {
    id: "ff6a36c5-bcee-565f-b0f4-aaa70647e7f7",
    name: "app_organization_manager",
    title: "Admin",
    scope: "app/organization",
    role: "manager",
    permissions: [
      "app_organization_update",
      "app_organization_get",
      "app_organization_projectcreate",
      "app_organization_projectlist",
      "app_organization_grouplist",
      "app_organization_serviceusermanage",
      "app_organization_invitationlist",
    ],
  },
  {
    id: "48cf69c9-ee22-5e93-ae8e-fa03c588a12c",
    name: "app_organization_viewer",
    title: "Member",
    scope: "app/organization",
    role: "viewer",
    permissions: ["app_organization_get"],
  },
  {
    id: "0c9133c2-fc99-5cb7-84d9-0be7cfd20eef",
    name: "app_project_owner",
    title: "Project Owner",
    scope: "app/project",
    role: "owner",
    permissions: ["app_project_get"],
  },
  {
    id: "9ce56819-2544-57f7-8d74-01ef38381196",
    name: "app_project_manager",
    title: "Project Manager",
    scope: "app/project",
    role: "manager",
    permissions: ["app_project_get"],
  },
  {
    id: "a1dbb9db-6305-5c18-b1f4-378c980af348",
    name: "app_project_viewer",
    title: "Project Viewer",
    scope: "app/project",
    role: "viewer",
    permissions: ["app_project_get"],
  },
];

/** Finds a role of a scope by its id, in any case, or its name. */
export function findFrontierRole(scope: FrontierScope, idOrName: string): FrontierRole | undefined {
  const id = idOrName.toLowerCase();
  return frontierRoles.find((each) => each.scope === scope && (each.id === id || each.name === idOrName));
}

/** The role in an organization as Frontier's clients know it. */
export function toFrontierRole(role: Role): FrontierRole {
  const found = frontierRoles.find((each) => each.scope === "app/organization" && each.role === role);
  if (found === undefined) throw new Error(`Frontier has no role ${role}`);
  return found;
}
