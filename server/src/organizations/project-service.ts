/** Projects of an organization and who can see them: the rules. */
import type { AuditTrail } from "../audit/audit.ts";
import type { Database, Reader } from "../db/database.ts";
import { isUniqueViolation } from "../db/errors.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { isUuid, newId } from "../lib/ids.ts";
import { checkMetadata, type Metadata } from "../lib/metadata.ts";
import { fromPageToken, type Page, toPage } from "../lib/page-token.ts";
import type { Caller, Principal, Role } from "../principals/principal.ts";
import { type Access, isAtLeast } from "./access.ts";
import type { Project, ProjectPrincipal } from "./organization.ts";
import * as store from "./project-store.ts";
import type { PageRequest } from "./service.ts";
import { lockOrganization } from "./store.ts";

/** The writable part of a project. */
export interface ProjectDraft {
  readonly name: string;
  readonly title: string;
  readonly metadata: Metadata;
}

export interface ProjectServiceOptions {
  readonly database: Database;
  readonly access: Access;
  readonly audit: AuditTrail;
  readonly clock: Clock;
}

/** A project, as a request names it. */
export interface ProjectRef {
  /** The organization's id or name. */
  readonly org: string;
  /** The project's id or name. */
  readonly project: string;
}

const reads = { role: "viewer", writes: false } as const;
const writes = { role: "manager", writes: true } as const;

/** From this role on all projects of the organization can be seen. */
const seesAll: Role = "manager";

/** Manages projects. */
export class ProjectService {
  readonly #database: Database;
  readonly #access: Access;
  readonly #audit: AuditTrail;
  readonly #clock: Clock;

  constructor(options: ProjectServiceOptions) {
    this.#database = options.database;
    this.#access = options.access;
    this.#audit = options.audit;
    this.#clock = options.clock;
  }

  /** @throws DomainError NOT_AUTHORIZED, NAME_TAKEN */
  async create(caller: Caller, org: string, draft: ProjectDraft): Promise<Project> {
    const { organization } = await this.#access.require(caller.principal, org, writes);
    checkMetadata("metadata", draft.metadata);
    const now = this.#clock.now();
    const project: Project = {
      ...draft,
      id: newId(now),
      orgId: organization.id,
      createdAt: now,
      updatedAt: now,
    };
    try {
      await this.#database.transaction(async (tx) => {
        await store.insertProject(tx, project);
        await this.#audit.record(tx, caller, {
          action: "project.create",
          target: { type: "project", id: project.id },
          orgId: organization.id,
          details: { name: project.name },
        });
      });
    } catch (error) {
      throw isUniqueViolation(error) ? new DomainError("NAME_TAKEN", { cause: error }) : error;
    }
    return project;
  }

  /** Those the caller can see, oldest first. */
  async list(caller: Caller, org: string, page: PageRequest): Promise<Page<Project>> {
    const { organization, role } = await this.#access.require(caller.principal, org, reads);
    const memberOf = isAtLeast(role, seesAll) ? undefined : toProjectPrincipal(caller.principal);
    const list = ["ListProjects", organization.id, memberOf?.id ?? ""];
    const [afterId] = fromPageToken(list, page.token, ["text"]) ?? [""];
    const rows = await store.findProjects(this.#database.reader, organization.id, {
      ...(memberOf && { memberOf }),
      afterId,
      limit: page.size + 1,
    });
    return toPage(rows, page.size, list, (project) => [project.id]);
  }

  /** @throws DomainError PROJECT_NOT_FOUND */
  async delete(caller: Caller, ref: ProjectRef): Promise<void> {
    const { organization } = await this.#access.require(caller.principal, ref.org, writes);
    await this.#database.transaction(async (tx) => {
      const project = await getProject(tx, organization.id, ref.project);
      await store.deleteProject(tx, project.id);
      await this.#audit.record(tx, caller, {
        action: "project.delete",
        target: { type: "project", id: project.id },
        orgId: organization.id,
        details: { name: project.name },
      });
    });
  }

  /** Lets a principal of the organization in; nothing is recorded of one that is in. @throws DomainError PROJECT_NOT_FOUND, MEMBER_NOT_FOUND */
  async addMember(caller: Caller, ref: ProjectRef, principal: ProjectPrincipal): Promise<void> {
    const { organization } = await this.#access.require(caller.principal, ref.org, writes);
    await this.#database.transaction(async (tx) => {
      // Nobody leaves the organization between the question and the answer.
      await lockOrganization(tx, organization.id);
      const project = await getProject(tx, organization.id, ref.project);
      if (!(await store.isInOrganization(tx, organization.id, principal))) {
        throw new DomainError("MEMBER_NOT_FOUND");
      }
      if (!(await store.insertProjectMember(tx, project.id, principal, this.#clock.now()))) return;
      await this.#audit.record(tx, caller, {
        action: "project.add_member",
        target: principal,
        orgId: organization.id,
        details: { project: project.id },
      });
    });
  }

  /** @throws DomainError PROJECT_NOT_FOUND, MEMBER_NOT_FOUND */
  async removeMember(caller: Caller, ref: ProjectRef, principal: ProjectPrincipal): Promise<void> {
    const { organization } = await this.#access.require(caller.principal, ref.org, writes);
    await this.#database.transaction(async (tx) => {
      const project = await getProject(tx, organization.id, ref.project);
      if (!(await store.deleteProjectMember(tx, project.id, principal))) {
        throw new DomainError("MEMBER_NOT_FOUND");
      }
      await this.#audit.record(tx, caller, {
        action: "project.remove_member",
        target: principal,
        orgId: organization.id,
        details: { project: project.id },
      });
    });
  }
}

/** Finds the project that a request's `X-Project` selects. */
export type FindVisibleProject = (principal: Principal, idOrName: string) => Promise<string | undefined>;

/**
 * Makes the look-up of a selected project: its id, if one of the principal's
 * organizations has it and the principal can see it; of a superuser also that
 * of any other, by id. A name that two of them have selects nothing.
 */
export function createFindVisibleProject(source: {
  readonly reader: Reader;
  readonly access: Access;
  /** Ids of the organizations that a principal has a role in. */
  readonly findOrganizationIds: (principal: Principal) => Promise<readonly string[]>;
}): FindVisibleProject {
  const { reader, access, findOrganizationIds } = source;

  async function findIn(principal: Principal, orgId: string, idOrName: string): Promise<string[]> {
    const project = await store.findProject(reader, orgId, idOrName);
    if (project === undefined) return [];
    const { role } = await access.require(principal, orgId, reads);
    const isVisible =
      isAtLeast(role, seesAll) ||
      (await store.isProjectMember(reader, project.id, toProjectPrincipal(principal)));
    return isVisible ? [project.id] : [];
  }

  return async (principal, idOrName) => {
    // A superuser sees them all; names are unique in one organization only.
    if (principal.superuser && isUuid(idOrName)) return await store.findProjectId(reader, idOrName);
    const orgIds = await findOrganizationIds(principal);
    const found = await Promise.all(orgIds.map((orgId) => findIn(principal, orgId, idOrName)));
    const [only, ...others] = found.flat();
    return others.length === 0 ? only : undefined;
  };
}

async function getProject(reader: Reader, orgId: string, idOrName: string): Promise<Project> {
  const project = await store.findProject(reader, orgId, idOrName);
  if (project === undefined) throw new DomainError("PROJECT_NOT_FOUND");
  return project;
}

function toProjectPrincipal(principal: Principal): ProjectPrincipal {
  return { type: principal.type, id: principal.id };
}
