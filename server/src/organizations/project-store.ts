import type { Reader, Tx } from "../db/database.ts";
import { jsonColumn, jsonObject } from "../db/json-column.ts";
import type { ProjectRow } from "../db/schema.ts";
import { isUuid } from "../lib/ids.ts";
import type { Project, ProjectMember, ProjectPrincipal } from "./organization.ts";

const metadataColumn = jsonColumn("projects.metadata", jsonObject);

function toProject(row: ProjectRow & { readonly members_count: unknown }): Project {
  return {
    id: row.id,
    orgId: row.org_id,
    name: row.name,
    title: row.title,
    metadata: metadataColumn.decode(row.metadata),
    membersCount: Number(row.members_count),
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
  };
}

function byIdOrName(idOrName: string): ["id" | "name", string] {
  return isUuid(idOrName) ? ["id", idOrName.toLowerCase()] : ["name", idOrName];
}

function selectProjects(reader: Reader) {
  return reader
    .selectFrom("projects")
    .selectAll("projects")
    .select((project) =>
      project
        .selectFrom("project_members")
        .select(({ fn }) => fn.countAll().as("count"))
        .whereRef("project_members.project_id", "=", "projects.id")
        .as("members_count"),
    );
}

/**
 * Makes a name a project's own in its organization, for good; false for one
 * that is, or was, another's, which it stays, whoever asks at once.
 */
export async function claimProjectName(
  tx: Tx,
  { id, orgId, name }: Pick<Project, "id" | "orgId" | "name">,
  now: Date,
): Promise<boolean> {
  await tx
    .insertInto("project_names")
    .values({ org_id: orgId, name, project_id: id, at: now.getTime() })
    .onConflict((conflict) => conflict.columns(["org_id", "name"]).doNothing())
    .execute();
  const { project_id } = await tx
    .selectFrom("project_names")
    .select("project_id")
    .where("org_id", "=", orgId)
    .where("name", "=", name)
    .executeTakeFirstOrThrow();
  return project_id === id;
}

/** Stores what has changed of a project; its name is claimed before. */
export async function updateProject(
  tx: Tx,
  { id, name, title, metadata, updatedAt }: Project,
): Promise<void> {
  const columns = { name, title, metadata: metadataColumn.encode(metadata), updated_at: updatedAt.getTime() };
  await tx.updateTable("projects").set(columns).where("id", "=", id).execute();
}

/** Stores a new project; its name is claimed before. */
export async function insertProject(tx: Tx, project: Project): Promise<void> {
  await tx
    .insertInto("projects")
    .values({
      id: project.id,
      org_id: project.orgId,
      name: project.name,
      title: project.title,
      metadata: metadataColumn.encode(project.metadata),
      created_at: project.createdAt.getTime(),
      updated_at: project.updatedAt.getTime(),
    })
    .execute();
}

/** A project of an organization, by id or name. */
export async function findProject(
  reader: Reader,
  orgId: string,
  idOrName: string,
): Promise<Project | undefined> {
  const [column, value] = byIdOrName(idOrName);
  const row = await selectProjects(reader)
    .where("org_id", "=", orgId)
    .where(column, "=", value)
    .executeTakeFirst();
  return row && toProject(row);
}

/** The organization that a project belongs to. @param id in lower case. */
export async function findProjectOrganization(reader: Reader, id: string): Promise<string | undefined> {
  const row = await reader.selectFrom("projects").select("org_id").where("id", "=", id).executeTakeFirst();
  return row?.org_id;
}

/** Who looks for a project: a person in their enabled organizations, by a token in its own, a machine in its own. */
export type ProjectViewer =
  | {
      readonly type: "user";
      readonly id: string;
      /** Absent for any. */
      readonly orgId?: string;
      readonly seesAll: boolean;
      /** Of what they see only these; absent for all. */
      readonly only?: readonly string[];
    }
  | { readonly type: "serviceuser"; readonly id: string; readonly orgId: string; readonly seesAll: boolean };

/** What selects a project. */
export interface ProjectSelection {
  /** Id or name. */
  readonly project: string;
  /** Id or name of its organization; absent for any. */
  readonly org?: string;
  /** Id of the organization that it has to be in; absent for any. */
  readonly orgId?: string;
  /** Only those that they can see; absent for all. */
  readonly within?: ProjectViewer;
}

/** Ids of the projects that are selected; two of them where there are more. */
export async function findSelectedProjects(reader: Reader, selection: ProjectSelection): Promise<string[]> {
  const { project, org, orgId, within } = selection;
  const [column, value] = byIdOrName(project);
  let query = reader
    .selectFrom("projects")
    .innerJoin("organizations", "organizations.id", "projects.org_id")
    // A person's own membership, which says what they can see; of anyone else nothing.
    .leftJoin("memberships", (join) =>
      join
        .onRef("memberships.org_id", "=", "projects.org_id")
        .on("memberships.user_id", "=", within?.type === "user" ? within.id : ""),
    )
    .select("projects.id")
    .where(`projects.${column}`, "=", value);
  if (org !== undefined) {
    const [orgColumn, orgValue] = byIdOrName(org);
    query = query.where(`organizations.${orgColumn}`, "=", orgValue);
  }
  if (orgId !== undefined) query = query.where("projects.org_id", "=", orgId);
  if (within?.orgId !== undefined) query = query.where("projects.org_id", "=", within.orgId);
  if (within?.type === "user") {
    query = query.where("memberships.user_id", "=", within.id).where("organizations.state", "=", "enabled");
    if (within.only !== undefined) query = query.where("projects.id", "in", orNone(within.only));
  }
  if (within !== undefined && !within.seesAll) {
    query = query.where((eb) =>
      eb.or([
        eb("memberships.role", "in", ["manager", "owner"]),
        eb.exists(
          eb
            .selectFrom("project_members")
            .select("project_members.project_id")
            .whereRef("project_members.project_id", "=", "projects.id")
            .where("project_members.principal_type", "=", within.type)
            .where("project_members.principal_id", "=", within.id),
        ),
      ]),
    );
  }
  return (await query.limit(2).execute()).map(({ id }) => id);
}

/** Which of an organization's projects are seen: those that meet both. */
export interface VisibleProjects {
  /** Only those that this principal was let into. */
  readonly memberOf?: ProjectPrincipal;
  /** Only these. */
  readonly only?: readonly string[];
}

/** Projects of an organization after an id, oldest first. */
export async function findProjects(
  reader: Reader,
  orgId: string,
  filter: VisibleProjects & { readonly afterId: string; readonly limit: number },
): Promise<Project[]> {
  const { memberOf, only, afterId, limit } = filter;
  let query = selectProjects(reader).where("org_id", "=", orgId).where("id", ">", afterId);
  if (only !== undefined) query = query.where("id", "in", orNone(only));
  if (memberOf !== undefined) {
    query = query.where("id", "in", (members) =>
      members
        .selectFrom("project_members")
        .select("project_id")
        .where("principal_type", "=", memberOf.type)
        .where("principal_id", "=", memberOf.id),
    );
  }
  return (await query.orderBy("id").limit(limit).execute()).map(toProject);
}

/**
 * Projects of some organizations, oldest first.
 *
 * @param seen ids of organizations: with all of their projects, and with those that the member was let into.
 */
export async function findSeenProjects(
  reader: Reader,
  seen: { readonly whole: readonly string[]; readonly shared: readonly string[] },
  member: ProjectPrincipal,
  range: { readonly offset: number; readonly limit: number },
): Promise<Project[]> {
  const rows = await selectProjects(reader)
    .where(({ and, eb, lit, or, selectFrom }) => {
      const isOf = (ids: readonly string[]) => (ids.length === 0 ? lit(false) : eb("org_id", "in", ids));
      return or([
        isOf(seen.whole),
        and([
          isOf(seen.shared),
          eb(
            "id",
            "in",
            selectFrom("project_members")
              .select("project_id")
              .where("principal_type", "=", member.type)
              .where("principal_id", "=", member.id),
          ),
        ]),
      ]);
    })
    .orderBy("id")
    .offset(range.offset)
    .limit(range.limit)
    .execute();
  return rows.map(toProject);
}

/** Who was let into a project; of them one, if an id is given. */
export async function findProjectPrincipals(
  reader: Reader,
  projectId: string,
  filter: { readonly id?: string; readonly offset: number; readonly limit: number },
): Promise<ProjectPrincipal[]> {
  let query = reader
    .selectFrom("project_members")
    .select(["principal_type as type", "principal_id as id"])
    .where("project_id", "=", projectId);
  if (filter.id !== undefined) query = query.where("principal_id", "=", filter.id);
  return await query
    .orderBy("principal_type")
    .orderBy("principal_id")
    .offset(filter.offset)
    .limit(filter.limit)
    .execute();
}

/** Whether a principal was let into a project. */
export async function isProjectMember(
  reader: Reader,
  projectId: string,
  principal: ProjectPrincipal,
): Promise<boolean> {
  const row = await reader
    .selectFrom("project_members")
    .select("project_id")
    .where("project_id", "=", projectId)
    .where("principal_type", "=", principal.type)
    .where("principal_id", "=", principal.id)
    .executeTakeFirst();
  return row !== undefined;
}

/** Removes a project; false when it is gone. */
export async function deleteProject(tx: Tx, id: string): Promise<boolean> {
  const result = await tx.deleteFrom("projects").where("id", "=", id).executeTakeFirst();
  return result.numDeletedRows > 0n;
}

/** A project that somebody was let into, and when. */
export interface ProjectMembership {
  readonly project: Pick<Project, "id" | "orgId" | "name" | "title">;
  readonly createdAt: Date;
}

/** Projects that a principal was let into, after one of them, by their ids. */
export async function findProjectMemberships(
  reader: Reader,
  principal: ProjectPrincipal,
  { afterId, limit }: { readonly afterId: string; readonly limit: number },
): Promise<readonly ProjectMembership[]> {
  const rows = await reader
    .selectFrom("project_members")
    .innerJoin("projects", "projects.id", "project_members.project_id")
    .select(["projects.id", "projects.org_id", "projects.name", "projects.title"])
    .select("project_members.created_at")
    .where("principal_type", "=", principal.type)
    .where("principal_id", "=", principal.id)
    .where("project_id", ">", afterId)
    .orderBy("project_id")
    .limit(limit)
    .execute();
  return rows.map(({ id, org_id, name, title, created_at }) => ({
    project: { id, orgId: org_id, name, title },
    createdAt: new Date(created_at),
  }));
}

/** Lets a principal into a project; false for one that is in already. */
export async function insertProjectMember(
  tx: Tx,
  projectId: string,
  principal: ProjectPrincipal,
  now: Date,
): Promise<boolean> {
  const result = await tx
    .insertInto("project_members")
    .values({
      project_id: projectId,
      principal_type: principal.type,
      principal_id: principal.id,
      created_at: now.getTime(),
    })
    .onConflict((conflict) => conflict.columns(["project_id", "principal_type", "principal_id"]).doNothing())
    .executeTakeFirst();
  return (result.numInsertedOrUpdatedRows ?? 0n) > 0n;
}

/** Takes a principal out of a project; false when it was not in. */
export async function deleteProjectMember(
  tx: Tx,
  projectId: string,
  principal: ProjectPrincipal,
): Promise<boolean> {
  const result = await tx
    .deleteFrom("project_members")
    .where("project_id", "=", projectId)
    .where("principal_type", "=", principal.type)
    .where("principal_id", "=", principal.id)
    .executeTakeFirst();
  return result.numDeletedRows > 0n;
}

/** Whether a principal belongs to an organization: a member, or one of its service users. */
export async function isInOrganization(
  reader: Reader,
  orgId: string,
  principal: ProjectPrincipal,
): Promise<boolean> {
  const people = reader.selectFrom("memberships").select("org_id").where("user_id", "=", principal.id);
  const machines = reader.selectFrom("service_users").select("org_id").where("id", "=", principal.id);
  const query =
    principal.type === "user" ? people.where("org_id", "=", orgId) : machines.where("org_id", "=", orgId);
  return (await query.executeTakeFirst()) !== undefined;
}

/** Whoever was let into a project, after another of them: service users first, each kind oldest first. */
export async function findProjectMembers(
  reader: Reader,
  projectId: string,
  page: { readonly afterType: string; readonly afterId: string; readonly limit: number },
): Promise<ProjectMember[]> {
  const rows = await reader
    .selectFrom("project_members as member")
    .leftJoin("users", (join) =>
      join.onRef("users.id", "=", "member.principal_id").on("member.principal_type", "=", "user"),
    )
    .leftJoin("service_users as machine", (join) =>
      join.onRef("machine.id", "=", "member.principal_id").on("member.principal_type", "=", "serviceuser"),
    )
    .select(["member.principal_type", "member.principal_id", "member.created_at"])
    .select(["users.email", "users.email_proven", "users.title", "machine.title as machine_title"])
    .where("member.project_id", "=", projectId)
    .where(({ eb, refTuple, tuple }) =>
      eb(
        refTuple("member.principal_type", "member.principal_id"),
        ">",
        tuple(page.afterType as ProjectMember["type"], page.afterId),
      ),
    )
    .orderBy("member.principal_type")
    .orderBy("member.principal_id")
    .limit(page.limit)
    .execute();
  return rows.map((row) => ({
    type: row.principal_type,
    id: row.principal_id,
    title: row.title ?? row.machine_title ?? "",
    email: row.email ?? "",
    emailVerified: row.email_proven === 1,
    createdAt: new Date(row.created_at),
  }));
}

/** Postgres takes no empty list; no id is an empty text. */
function orNone(ids: readonly string[]): readonly string[] {
  return ids.length === 0 ? [""] : ids;
}
