/** Which projects somebody sees, which a principal was let into, and who was let into one. */
import type { Reader } from "../db/database.ts";
import { DomainError } from "../lib/errors.ts";
import { isUuid } from "../lib/ids.ts";
import type { Caller, Role } from "../principals/principal.ts";
import { type Access, isAtLeast } from "./access.ts";
import { findEnabledMemberships } from "./member-store.ts";
import type { Project, ProjectPrincipal } from "./organization.ts";
import { type FindVisibleProject, type ProjectRef, seesAll } from "./project-service.ts";
import * as store from "./project-store.ts";

/** Parts that lists of projects stand on. */
export interface ProjectListsOptions {
  readonly reader: Reader;
  readonly access: Access;
  readonly findVisible: FindVisibleProject;
}

/** A part of a list, by number: Frontier's lists have no cursor. */
export interface Range {
  readonly offset: number;
  readonly limit: number;
}

/** A project and what the caller is in its organization. */
export interface SeenProject {
  readonly project: Project;
  readonly role: Role;
}

const reads = { role: "viewer", writes: false } as const;
const manages = { role: "manager", writes: false } as const;

/** Lists projects for those who know them by their ids alone. */
export class ProjectLists {
  readonly #reader: Reader;
  readonly #access: Access;
  readonly #findVisible: FindVisibleProject;

  constructor({ reader, access, findVisible }: ProjectListsOptions) {
    this.#reader = reader;
    this.#access = access;
    this.#findVisible = findVisible;
  }

  /** A project by its id, wherever it is. @throws DomainError PROJECT_NOT_FOUND for one that the caller cannot see */
  async locate({ principal }: Caller, id: string): Promise<ProjectRef> {
    const project = isUuid(id) ? await this.#findVisible(principal, id) : undefined;
    const org = project && (await store.findProjectOrganization(this.#reader, project));
    if (project === undefined || org === undefined) throw new DomainError("PROJECT_NOT_FOUND");
    return { org, project };
  }

  /**
   * Those the caller sees, oldest first.
   *
   * @param org id or name; undefined for all enabled organizations they have a role in.
   * @throws DomainError NOT_AUTHORIZED
   */
  async listSeen(caller: Caller, org: string | undefined, range: Range): Promise<SeenProject[]> {
    const { principal } = caller;
    const roles = await this.#findRoles(caller, org);
    const idsOf = (isWhole: boolean) =>
      [...roles].flatMap(([id, role]) => (isAtLeast(role, seesAll) === isWhole ? [id] : []));
    const seen = { whole: idsOf(true), shared: idsOf(false) };
    const type = principal.type === "user" ? "user" : "serviceuser";
    const member: ProjectPrincipal = { type, id: principal.id };
    const found = await store.findSeenProjects(this.#reader, seen, member, range);
    return found.map((project) => ({ project, role: roles.get(project.orgId) ?? "viewer" }));
  }

  /** What the caller is in the organization that was asked for, or in each that they belong to. */
  async #findRoles({ principal }: Caller, org: string | undefined): Promise<ReadonlyMap<string, Role>> {
    const own = org ?? (principal.type === "user" ? undefined : principal.orgId);
    if (own === undefined) {
      const memberships = await findEnabledMemberships(this.#reader, principal.id);
      return new Map(memberships.map(({ orgId, role }) => [orgId, role]));
    }
    const { organization, role } = await this.#access.require(principal, own, reads);
    return new Map([[organization.id, role]]);
  }

  /** Those that a service user was let into, oldest first. @throws DomainError NOT_AUTHORIZED, SERVICE_USER_NOT_FOUND */
  async listOfServiceUser(caller: Caller, org: string, id: string, range: Range): Promise<SeenProject[]> {
    const { organization, role } = await this.#access.require(caller.principal, org, manages);
    const member = { type: "serviceuser", id: id.toLowerCase() } as const;
    if (!(await store.isInOrganization(this.#reader, organization.id, member))) {
      throw new DomainError("SERVICE_USER_NOT_FOUND");
    }
    const seen = { whole: [], shared: [organization.id] };
    const found = await store.findSeenProjects(this.#reader, seen, member, range);
    return found.map((project) => ({ project, role }));
  }

  /**
   * Who was let into a project.
   *
   * @param id only this principal.
   * @throws DomainError NOT_AUTHORIZED, PROJECT_NOT_FOUND
   */
  async listMembers(
    caller: Caller,
    projectId: string,
    id: string | undefined,
    range: Range,
  ): Promise<ProjectPrincipal[]> {
    const { org, project } = await this.locate(caller, projectId);
    await this.#access.require(caller.principal, org, manages);
    return await store.findProjectPrincipals(this.#reader, project, { ...(id && { id }), ...range });
  }
}
