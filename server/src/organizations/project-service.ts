/** Projects of an organization and who can see them: the rules. */
import type { AuditTrail } from "../audit/audit.ts";
import type { Database, Reader, Tx } from "../db/database.ts";
import { listChanged } from "../lib/changed.ts";
import type { Clock } from "../lib/clock.ts";
import { DomainError } from "../lib/errors.ts";
import { isUuid, newId } from "../lib/ids.ts";
import { checkMetadata, type Metadata } from "../lib/metadata.ts";
import { fromPageToken, type Page, type PageRequest, toPage, toPageById } from "../lib/page-token.ts";
import {
  type Caller,
  type PatProjects,
  type Principal,
  type Role,
  toActor,
} from "../principals/principal.ts";
import { type Access, type AccessNeed, type GrantedAccess, isAtLeast } from "./access.ts";
import type { Project, ProjectMember, ProjectPrincipal } from "./organization.ts";
import { lockForGrant } from "./owners.ts";
import * as store from "./project-store.ts";
import { lockOrganization } from "./store.ts";

/** The writable part of a project. */
export interface ProjectDraft {
  readonly name: string;
  readonly title: string;
  readonly metadata: Metadata;
}

/** What is said of a project. What is absent stays as it is. */
export type ProjectPatch = Partial<ProjectDraft>;

/** Parts that projects stand on. */
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

/** The same, where the organization need not be said of a project's id. */
export interface LooseProjectRef extends Pick<ProjectRef, "project"> {
  readonly org?: string | undefined;
}

const reads = { role: "viewer", writes: false } as const;
const writes = { role: "manager", writes: true } as const;

/** From this role on all projects of the organization can be seen. */
export const seesAll: Role = "manager";

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
      membersCount: 0,
      createdAt: now,
      updatedAt: now,
    };
    await this.#database.transaction(async (tx) => {
      // Whoever changes a name in the organization holds it first: nobody waits for each other in a circle.
      await lockOrganization(tx, organization.id);
      await claim(tx, project);
      await store.insertProject(tx, project);
      await this.#audit.record(tx, caller, {
        action: "project.create",
        target: project.id,
        orgId: organization.id,
        details: { name: project.name },
      });
    });
    return project;
  }

  /** Those the caller can see, oldest first. */
  async list(caller: Caller, org: string, page: PageRequest): Promise<Page<Project>> {
    const { organization, role } = await this.#access.require(caller.principal, org, reads);
    const asked = toVisible(caller.principal, role);
    const list = ["ListProjects", organization.id, caller.principal.id];
    return await toPageById(list, page, (range) =>
      store.findProjects(this.#database.reader, organization.id, { ...asked, ...range }),
    );
  }

  /** One that the caller can see. @throws DomainError PROJECT_NOT_FOUND, NOT_AUTHORIZED */
  async get(caller: Caller, ref: LooseProjectRef): Promise<Project> {
    const { organization, role } = await this.#require(caller, ref, reads);
    const project = await store.findProject(this.#database.reader, organization.id, ref.project);
    const { memberOf, only } = toVisible(caller.principal, role);
    const isSeen =
      project !== undefined &&
      (only === undefined || only.includes(project.id)) &&
      (memberOf === undefined || (await store.isProjectMember(this.#database.reader, project.id, memberOf)));
    if (!isSeen) throw toUnseen(ref);
    return project;
  }

  /** Changes a project. @throws DomainError PROJECT_NOT_FOUND, NOT_AUTHORIZED, NAME_TAKEN, INVALID_REQUEST */
  async update(caller: Caller, ref: LooseProjectRef, patch: ProjectPatch): Promise<Project> {
    const { organization } = await this.#require(caller, ref, writes);
    if (patch.metadata !== undefined) checkMetadata("body.metadata", patch.metadata);
    return await this.#database.transaction(async (tx) => {
      await lockForGrant(tx, caller.principal, organization.id, writes.role);
      const before = await store.findProject(tx, organization.id, ref.project);
      if (before === undefined) throw toUnseen(ref);
      const changed = listChanged<ProjectDraft>(before, patch);
      if (changed.length === 0) return before;
      const after = { ...before, ...patch, updatedAt: this.#clock.now() };
      if (before.name !== after.name) await claim(tx, after);
      await store.updateProject(tx, after);
      const names = { name: after.name, previous_name: before.name };
      await this.#audit.record(tx, caller, {
        action: "project.update",
        target: before.id,
        orgId: organization.id,
        details: { changed: changed.join(","), ...(before.name !== after.name && names) },
      });
      return after;
    });
  }

  /** Whoever was let into a project that the caller can see. @throws DomainError PROJECT_NOT_FOUND */
  async listMembers(caller: Caller, ref: ProjectRef, page: PageRequest): Promise<Page<ProjectMember>> {
    const { id } = await this.get(caller, ref);
    const list = ["ListProjectMembers", id];
    const [afterType, afterId] = fromPageToken(list, page.token, ["text", "text"]) ?? ["", ""];
    const range = { afterType, afterId, limit: page.size + 1 };
    const rows = await store.findProjectMembers(this.#database.reader, id, range);
    return toPage(rows, page.size, list, (last) => [last.type, last.id]);
  }

  /** Access to the organization that a project is in, or may be. @throws DomainError NOT_AUTHORIZED, ORGANIZATION_DISABLED */
  async #require(
    caller: Caller,
    { org, project }: LooseProjectRef,
    need: AccessNeed,
  ): Promise<GrantedAccess> {
    const found = org ?? (await store.findProjectOrganization(this.#database.reader, project.toLowerCase()));
    if (found === undefined) throw new DomainError("NOT_AUTHORIZED", { detail: "unknown project" });
    return await this.#access.require(caller.principal, found, need);
  }

  /** @throws DomainError PROJECT_NOT_FOUND */
  async delete(caller: Caller, ref: ProjectRef): Promise<void> {
    const { organization } = await this.#access.require(caller.principal, ref.org, writes);
    await this.#database.transaction(async (tx) => {
      const project = await getProject(tx, organization.id, ref.project);
      await store.deleteProject(tx, project.id);
      await this.#audit.record(tx, caller, {
        action: "project.delete",
        target: project.id,
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

/**
 * Finds the project that a request's `X-Project` selects: by id, by a name
 * that one of the principal's organizations has, or as `<org>/<project>`, each
 * an id or a name.
 *
 * @param orgId only in this one, if given.
 * @returns its id; undefined for one that the principal cannot see, or that does not exist.
 * @throws DomainError AMBIGUOUS_PROJECT for a bare name that they can see several of.
 */
export type FindVisibleProject = (
  principal: Principal,
  selector: string,
  orgId?: string,
) => Promise<string | undefined>;

/** Makes the look-up of a selected project, over all organizations of the principal, however many they are. */
export function createFindVisibleProject(reader: Reader): FindVisibleProject {
  return async (principal, selector, orgId) => {
    const slash = selector.indexOf("/");
    const org = slash < 0 ? undefined : selector.slice(0, slash);
    const project = selector.slice(slash + 1);
    // Names are unique in one organization only: a bare one is looked for in a superuser's own.
    const isNamed = org !== undefined || orgId !== undefined || isUuid(project);
    const isAnywhere = principal.superuser && isNamed;
    const [found, ...others] = await store.findSelectedProjects(reader, {
      project,
      ...(org !== undefined && { org }),
      ...(orgId !== undefined && { orgId }),
      ...(!isAnywhere && { within: toViewer(principal) }),
    });
    if (others.length > 0) throw new DomainError("AMBIGUOUS_PROJECT");
    return found;
  };
}

function toViewer(principal: Principal): store.ProjectViewer {
  if (principal.type === "user") return { type: "user", id: principal.id, seesAll: principal.superuser };
  if (principal.type === "pat") {
    const { userId: id, orgId, projects } = principal;
    return { type: "user", id, orgId, seesAll: false, ...toOnly(projects) };
  }
  const { id, orgId, role, superuser } = principal;
  return { type: "serviceuser", id, orgId, seesAll: superuser || isAtLeast(role, seesAll) };
}

/** @throws DomainError NAME_TAKEN */
async function claim(tx: Tx, project: Project): Promise<void> {
  if (!(await store.claimProjectName(tx, project, project.updatedAt))) throw new DomainError("NAME_TAKEN");
}

/** Of a project that is asked for by its id alone nobody is told whether its organization is theirs. */
function toUnseen({ org }: LooseProjectRef): DomainError {
  return org === undefined
    ? new DomainError("NOT_AUTHORIZED", { detail: "unseen project" })
    : new DomainError("PROJECT_NOT_FOUND");
}

async function getProject(reader: Reader, orgId: string, idOrName: string): Promise<Project> {
  const project = await store.findProject(reader, orgId, idOrName);
  if (project === undefined) throw new DomainError("PROJECT_NOT_FOUND");
  return project;
}

/** Which of an organization's projects a caller sees, who has a role in it. */
function toVisible(principal: Principal, role: Role): store.VisibleProjects {
  if (principal.type === "pat") {
    const { projects } = principal;
    return { ...(!projects.ownerSeesAll && { memberOf: toActor(principal) }), ...toOnly(projects) };
  }
  return isAtLeast(role, seesAll) ? {} : { memberOf: toActor(principal) };
}

function toOnly({ only }: PatProjects): { readonly only?: readonly string[] } {
  return only === undefined ? {} : { only };
}
