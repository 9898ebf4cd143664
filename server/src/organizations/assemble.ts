import { FrontierService } from "@vestibule/proto/vestibule/v1/frontier_service_pb";
import { OrganizationService as OrganizationServiceSchema } from "@vestibule/proto/vestibule/v1/organization_service_pb";
import type { Room } from "../assembly/room.ts";
import { registerService } from "../assembly/services.ts";
import type { AuditTrail } from "../audit/audit.ts";
import type { Avatars } from "../avatars/avatars.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { Database, Reader } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import type { Role } from "../principals/principal.ts";
import { type Access, createAccess } from "./access.ts";
import { createElsewhereMethods } from "./frontier-elsewhere-handler.ts";
import { createFrontierMemberMethods } from "./frontier-members-handler.ts";
import { createFrontierProjectMethods } from "./frontier-projects-handler.ts";
import { createFrontierHandler, createOrganizationHandler, type OrganizationServices } from "./handler.ts";
import { findManagedIds, holdManagedIds } from "./managed.ts";
import { MemberService } from "./member-service.ts";
import {
  findEnabledMemberships,
  findForemostOrganizations,
  findHeldOrganization,
  findMemberRole,
  type HeldOrganization,
} from "./member-store.ts";
import type { Organization } from "./organization.ts";
import type { OwnershipLimit } from "./owners.ts";
import { createHasPermission } from "./permissions.ts";
import { ProjectLists } from "./project-lists.ts";
import { createFindVisibleProject, type FindVisibleProject, ProjectService } from "./project-service.ts";
import { findProjectOrganization } from "./project-store.ts";
import { createRoleMethods } from "./role-handler.ts";
import { OrganizationService, type OrganizationServiceOptions } from "./service.ts";
import { findOrganization, findOrganizationNames, findTenant } from "./store.ts";

/** How many of a person's organizations are looked at for access tokens, which name a hundred at most. */
const mostHeld = 300;

/** What organizations stand on. */
export interface OrganizationParts {
  readonly database: Database;
  readonly feed: ChangeFeed;
  readonly audit: AuditTrail;
  readonly avatars: Avatars;
  readonly clock: Clock;
  readonly limits: OwnershipLimit;
  readonly creation: OrganizationServiceOptions["creation"];
}

/** What tokens say of organizations. */
export interface ClaimedOrganizations {
  /** The foremost of a person's, and whether these are all. */
  findOrganizations(userId: string): Promise<{
    /** In the order in which they matter. */
    readonly enabled: readonly HeldOrganization[];
    readonly disabledIds: readonly string[];
    readonly isComplete: boolean;
  }>;
  /** One of a person's enabled organizations, by id or name. */
  findMembership(userId: string, org: string): Promise<HeldOrganization | undefined>;
  findOrganizationName(orgId: string): Promise<string | undefined>;
}

/** What others ask of organizations. */
export interface OrganizationsRoom extends Room {
  readonly rules: OrganizationServices;
  readonly access: Access;
  findState(orgId: string): Promise<Organization["state"] | undefined>;
  /** What people call an organization. */
  findTitle(orgId: string): Promise<string>;
  /** Whom an organization counts for, where all share what there is. */
  findTenant(orgId: string): Promise<string>;
  isMember(userId: string, orgId: string): Promise<boolean>;
  readonly claimed: ClaimedOrganizations;
  /** In enabled organizations. */
  findMemberships(userId: string): Promise<readonly { readonly orgId: string; readonly role: Role }[]>;
  /** Names of organizations by their ids. */
  findNames(ids: readonly string[]): Promise<ReadonlyMap<string, string>>;
  readonly findManagedIds: typeof findManagedIds;
  readonly holdManagedIds: typeof holdManagedIds;
  readonly findVisibleProject: FindVisibleProject;
}

/** Puts organizations, their members and their projects together. */
export function assembleOrganizations(parts: OrganizationParts): OrganizationsRoom {
  const { reader } = parts.database;
  const access = createAccess({
    findOrganization: (idOrName) => findOrganization(reader, idOrName),
    findMemberRole: (userId, orgId) => findMemberRole(reader, userId, orgId),
  });
  const organizations = new OrganizationService({ ...parts, access });
  const members = new MemberService({ ...parts, access });
  const projects = new ProjectService({ ...parts, access });
  const rules = { organizations, members, projects };
  const findVisibleProject = createFindVisibleProject(reader);
  const lists = new ProjectLists({ reader, access, findVisible: findVisibleProject });
  const hasPermission = createHasPermission({
    access,
    findVisibleProject,
    findProjectOrganization: (id) => findProjectOrganization(reader, id),
  });
  return {
    rules,
    access,
    findState: async (orgId) => (await findOrganization(reader, orgId))?.state,
    findTitle: async (orgId) => {
      const { title = "", name = "" } = (await findOrganization(reader, orgId)) ?? {};
      return title === "" ? name : title;
    },
    findTenant: (orgId) => findTenant(reader, orgId),
    isMember: async (userId, orgId) => (await findMemberRole(reader, userId, orgId)) !== undefined,
    claimed: createClaimedOrganizations(reader),
    findMemberships: (userId) => findEnabledMemberships(reader, userId),
    findNames: (ids) => findOrganizationNames(reader, ids),
    findManagedIds,
    holdManagedIds,
    findVisibleProject,
    services: [
      registerService(OrganizationServiceSchema, createOrganizationHandler(rules, parts.avatars)),
      registerService(FrontierService, createFrontierHandler(organizations, parts.avatars)),
      registerService(FrontierService, createRoleMethods(hasPermission)),
      registerService(FrontierService, createFrontierMemberMethods(members)),
      registerService(FrontierService, createFrontierProjectMethods({ projects, members, lists })),
      registerService(FrontierService, createElsewhereMethods(access)),
    ],
  };
}

function createClaimedOrganizations(reader: Reader): ClaimedOrganizations {
  return {
    async findOrganizations(userId) {
      const held = await findForemostOrganizations(reader, userId, mostHeld + 1);
      return {
        enabled: held.filter(({ state }) => state === "enabled"),
        disabledIds: held.filter(({ state }) => state === "disabled").map(({ id }) => id),
        isComplete: held.length <= mostHeld,
      };
    },
    findMembership: (userId, org) => findHeldOrganization(reader, userId, org),
    findOrganizationName: async (orgId) => (await findOrganization(reader, orgId))?.name,
  };
}
