import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { UserRolesSchema } from "@vestibule/proto/vestibule/v1/frontier_members_pb";
import {
  type Policy,
  PolicySchema,
  ProjectAccessSchema,
} from "@vestibule/proto/vestibule/v1/frontier_projects_pb";
import type { FrontierService } from "@vestibule/proto/vestibule/v1/frontier_service_pb";
import { UserSchema } from "@vestibule/proto/vestibule/v1/user_pb";
import { DomainError } from "../lib/errors.ts";
import { invalidField } from "../lib/invalid-request.ts";
import { requireCaller } from "../principals/context.ts";
import type { Caller } from "../principals/principal.ts";
import { findFrontierRole } from "./frontier-roles.ts";
import {
  getFrontierRole,
  inFrontiersWords,
  ofMember,
  parseFrontierPrincipal,
  parseFrontierResource,
  toFrontierPrincipal,
} from "./frontier-words.ts";
import { frontierListSize, toProjectMessage } from "./handler.ts";
import type { MemberService } from "./member-service.ts";
import type { ProjectMember, ProjectPrincipal } from "./organization.ts";
import { isAllowedOnSeenProject } from "./permissions.ts";
import type { ProjectLists, SeenProject } from "./project-lists.ts";
import type { ProjectService } from "./project-service.ts";
import { toRoleMessage } from "./role-handler.ts";

/** What the handlers of this file stand on. */
export interface FrontierProjectOptions {
  readonly projects: ProjectService;
  readonly members: MemberService;
  readonly lists: ProjectLists;
}

/** What every member of a project is. */
const memberRole = getFrontierRole("app/project", "app_project_viewer");

const whole = { offset: 0, limit: frontierListSize } as const;

/** Projects, and what the caller may do with each if that was asked. */
function toSeen(seen: readonly SeenProject[], permissions: readonly string[]) {
  const accessPairs = seen.map(({ project, role }) =>
    create(ProjectAccessSchema, {
      projectId: project.id,
      permissions: permissions.filter((each) => isAllowedOnSeenProject(role, each)),
    }),
  );
  return {
    projects: seen.map(({ project }) => toProjectMessage(project)),
    accessPairs: permissions.length === 0 ? [] : accessPairs,
  };
}

/** Projects and who is let into them, in the shapes that Frontier's screens know. */
export function createFrontierProjectMethods({ projects, lists, members }: FrontierProjectOptions) {
  async function letIn(caller: Caller, projectId: string, principal: ProjectPrincipal): Promise<void> {
    const ref = await lists.locate(caller, projectId);
    await inFrontiersWords(projects.addMember(caller, ref, principal));
  }

  return {
    ...createPolicyMethods({ projects, lists, members }, letIn),
    async createProject({ body }, context) {
      const { name = "", title = "", metadata = {}, orgId = "" } = body ?? {};
      if (name === "") throw invalidField("body.name", "must not be empty");
      const project = await projects.create(requireCaller(context), orgId, { name, title, metadata });
      return { project: toProjectMessage(project) };
    },
    async deleteProject({ id }, context) {
      const caller = requireCaller(context);
      await projects.delete(caller, await lists.locate(caller, id));
      return {};
    },
    async listProjectUsers({ id }, context) {
      const caller = requireCaller(context);
      const ref = await lists.locate(caller, id);
      const { items } = await projects.listMembers(caller, ref, { size: frontierListSize, token: "" });
      const people = items.filter(({ type }) => type === "user");
      return { users: people.map(toUser), rolePairs: people.map(toMemberRoles) };
    },
    async listOrganizationProjects({ id, state }, context) {
      const seen = await lists.listSeen(requireCaller(context), id, whole);
      return { projects: state === "disabled" ? [] : toSeen(seen, []).projects };
    },
    async listProjectsByCurrentUser({ orgId, withPermissions, pageSize, pageNum }, context) {
      const limit = pageSize || frontierListSize;
      const range = { offset: limit * Math.max(pageNum - 1, 0), limit };
      const seen = await lists.listSeen(requireCaller(context), orgId || undefined, range);
      return { ...toSeen(seen, withPermissions), count: seen.length };
    },
    async listServiceUserProjects({ id, orgId, withPermissions }, context) {
      const seen = await lists.listOfServiceUser(requireCaller(context), orgId, id, whole);
      return toSeen(seen, withPermissions);
    },
    async setProjectMemberRole({ projectId, principalId, principalType, roleId }, context) {
      getFrontierRole("app/project", roleId);
      await letIn(requireCaller(context), projectId, toFrontierPrincipal(principalType, principalId));
      return {};
    },
    async removeProjectMember({ projectId, principalId, principalType }, context) {
      const caller = requireCaller(context);
      const ref = await lists.locate(caller, projectId);
      await ofMember(projects.removeMember(caller, ref, toFrontierPrincipal(principalType, principalId)));
      return {};
    },
  } satisfies Partial<ServiceImpl<typeof FrontierService>>;
}

type LetIn = (caller: Caller, projectId: string, principal: ProjectPrincipal) => Promise<void>;

function createPolicyMethods({ projects, lists, members }: FrontierProjectOptions, letIn: LetIn) {
  return {
    async createPolicy({ body }, context) {
      const { roleId = "", resource = "", principal: text = "" } = body ?? {};
      const caller = requireCaller(context);
      const { scope, id } = parseFrontierResource("body.resource", resource);
      const principal = parseFrontierPrincipal("body.principal", text);
      const role = getFrontierRole(scope, roleId);
      if (scope === "app/project") {
        await letIn(caller, id, principal);
        return { policy: toPolicy(id.toLowerCase(), principal, roleId) };
      }
      if (principal.type !== "user") throw invalidField("body.principal", "must be app/user:<id>");
      await inFrontiersWords(members.setRole(caller, { org: id, userId: principal.id }, role.role));
      return {
        policy: create(PolicySchema, { title: role.name, roleId: role.id, resource, principal: text }),
      };
    },
    async createPolicyForProject({ projectId, body }, context) {
      getFrontierRole("app/project", body?.roleId ?? "");
      const principal = parseFrontierPrincipal("body.principal", body?.principal ?? "");
      await letIn(requireCaller(context), projectId, principal);
      return {};
    },
    async listPolicies({ projectId, userId }, context) {
      const caller = requireCaller(context);
      if (projectId === "") return { policies: [] };
      const id = userId === "" ? undefined : userId.toLowerCase();
      const found = await lists.listMembers(caller, projectId, id, whole);
      return { policies: found.map((principal) => toPolicy(projectId.toLowerCase(), principal)) };
    },
    async deletePolicy({ id }, context) {
      const caller = requireCaller(context);
      const [projectId = "", type, principalId = "", ...more] = id.split(".");
      if ((type !== "user" && type !== "serviceuser") || more.length > 0)
        throw new DomainError("POLICY_NOT_FOUND");
      try {
        const ref = await lists.locate(caller, projectId);
        await projects.removeMember(caller, ref, { type, id: principalId.toLowerCase() });
      } catch (error) {
        const isGone = error instanceof DomainError && error.kind === "not_found";
        throw isGone ? new DomainError("POLICY_NOT_FOUND") : error;
      }
      return {};
    },
  } satisfies Partial<ServiceImpl<typeof FrontierService>>;
}

function toUser({ id, email, emailVerified, title }: ProjectMember) {
  return create(UserSchema, { id, email, emailVerified, title });
}

function toMemberRoles({ id: userId }: ProjectMember) {
  return create(UserRolesSchema, { userId, roles: [toRoleMessage(memberRole)] });
}

/** Membership of a project as a policy; the roles there are for it mean one thing. */
function toPolicy(projectId: string, { type, id }: ProjectPrincipal, roleId = "app_project_viewer"): Policy {
  const role = findFrontierRole("app/project", roleId);
  return create(PolicySchema, {
    id: `${projectId}.${type}.${id}`,
    title: role?.name ?? "",
    roleId: role?.id ?? "",
    resource: `app/project:${projectId}`,
    principal: `app/${type}:${id}`,
  });
}
