import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { FrontierService } from "@vestibule/proto/vestibule/v1/frontier_service_pb";
import {
  type Member as MemberMessage,
  MemberSchema,
  type Organization as OrganizationMessage,
  type OrganizationRequestBody,
  OrganizationSchema,
  type ProjectMember as ProjectMemberMessage,
  ProjectMemberSchema,
  type Project as ProjectMessage,
  type ProjectRequestBody,
  ProjectSchema,
} from "@vestibule/proto/vestibule/v1/organization_pb";
import type { OrganizationService as OrganizationServiceSchema } from "@vestibule/proto/vestibule/v1/organization_service_pb";
import type { Avatars } from "../avatars/avatars.ts";
import { reasons } from "../lib/errors.ts";
import { invalidField } from "../lib/invalid-request.ts";
import { defaultPageSize, type PageRequest } from "../lib/page-token.ts";
import { toOptionalStruct } from "../lib/proto.ts";
import { requireCaller } from "../principals/context.ts";
import type { Role } from "../principals/principal.ts";
import type { MemberService } from "./member-service.ts";
import type { Member, Organization, Project, ProjectMember, ProjectPrincipal } from "./organization.ts";
import type { ProjectPatch, ProjectService } from "./project-service.ts";
import type { DeletionCheck, OrganizationPatch, OrganizationService } from "./service.ts";

/** How many organizations Frontier's list answers at most: it has no pages. */
export const frontierListSize = 1000;

/** An organization as answered. */
function toOrganizationMessage(
  organization: Organization,
  avatars: Pick<Avatars, "show">,
): OrganizationMessage {
  const metadata = toOptionalStruct(organization.metadata);
  return create(OrganizationSchema, {
    id: organization.id,
    name: organization.name,
    title: organization.title,
    createdAt: timestampFromDate(organization.createdAt),
    updatedAt: timestampFromDate(organization.updatedAt),
    state: organization.state,
    avatar: avatars.show(organization.avatar),
    ...(metadata && { metadata }),
  });
}

/** What a body says; what it leaves out stays as it is. */
function toPatch(body: OrganizationRequestBody | undefined): OrganizationPatch {
  const { name, title, avatar, metadata } = body ?? {};
  return {
    ...(name && { name }),
    ...(title !== undefined && { title }),
    ...(avatar !== undefined && { avatar }),
    ...(metadata !== undefined && { metadata }),
  };
}

function toBlockers({ organization, isDefault }: DeletionCheck) {
  const [, message] = reasons.DEFAULT_ORGANIZATION;
  const about = { subject: organization.id, subjectType: "app/organization" };
  return isDefault ? [{ type: "default", message, ...about }] : [];
}

function toMemberMessage(member: Member): MemberMessage {
  return create(MemberSchema, { ...member, createdAt: timestampFromDate(member.createdAt) });
}

/** A project as answered. */
export function toProjectMessage(project: Project): ProjectMessage {
  const metadata = toOptionalStruct(project.metadata);
  return create(ProjectSchema, {
    id: project.id,
    name: project.name,
    title: project.title,
    orgId: project.orgId,
    createdAt: timestampFromDate(project.createdAt),
    updatedAt: timestampFromDate(project.updatedAt),
    membersCount: project.membersCount,
    ...(metadata && { metadata }),
  });
}

/** What a body says; what it leaves out stays as it is. */
function toProjectPatch(body: ProjectRequestBody | undefined): ProjectPatch {
  const { name, title, metadata } = body ?? {};
  return { ...(name && { name }), ...(title !== undefined && { title }), ...(metadata && { metadata }) };
}

function toProjectMemberMessage({ type, id, createdAt, ...shown }: ProjectMember): ProjectMemberMessage {
  return create(ProjectMemberSchema, {
    ...shown,
    principalType: `app/${type}`,
    principalId: id,
    createdAt: timestampFromDate(createdAt),
  });
}

function toPageRequest(request: { readonly pageSize: number; readonly pageToken: string }): PageRequest {
  return { size: request.pageSize || defaultPageSize, token: request.pageToken };
}

/** Empty is any. */
function toState(state: string): Organization["state"] | undefined {
  return state === "" ? undefined : (state as Organization["state"]);
}

function toProjectPrincipal(request: {
  readonly principalType: string;
  readonly principalId: string;
}): ProjectPrincipal {
  const type = request.principalType === "app/user" ? "user" : "serviceuser";
  return { type, id: request.principalId.toLowerCase() };
}

/** What the handlers of this room stand on. */
export interface OrganizationServices {
  readonly organizations: OrganizationService;
  readonly members: MemberService;
  readonly projects: ProjectService;
}

/** Organizations, members and projects of `vestibule.v1.OrganizationService`. */
export function createOrganizationHandler(services: OrganizationServices, avatars: Pick<Avatars, "show">) {
  const { organizations, members, projects } = services;
  const toMessage = (organization: Organization) => toOrganizationMessage(organization, avatars);
  return {
    async createOrganization({ body }, context) {
      if (!body?.name) throw invalidField("body.name", "must not be empty");
      const organization = await organizations.create(requireCaller(context), {
        name: body.name,
        title: body.title ?? "",
        metadata: body.metadata ?? {},
        avatar: body.avatar ?? "",
      });
      return { organization: toMessage(organization) };
    },
    async getOrganization({ id }, context) {
      return { organization: toMessage(await organizations.get(requireCaller(context), id)) };
    },
    async updateOrganization({ id, body }, context) {
      const organization = await organizations.update(requireCaller(context), id, toPatch(body));
      return { organization: toMessage(organization) };
    },
    async checkOrganizationDelete({ id }, context) {
      const check = await organizations.checkDelete(requireCaller(context), id);
      return { ...check.contents, canDelete: !check.isDefault, blockers: toBlockers(check) };
    },
    async listOrganizations(request, context) {
      const filter = { query: request.query.trim(), state: toState(request.state) };
      const page = toPageRequest(request);
      const { items, nextPageToken } = await organizations.list(requireCaller(context), page, filter);
      return { organizations: items.map(toMessage), nextPageToken };
    },
    async enableOrganization({ id }, context) {
      const organization = await organizations.setState(requireCaller(context), id, "enabled");
      return { organization: toMessage(organization) };
    },
    async disableOrganization({ id }, context) {
      const organization = await organizations.setState(requireCaller(context), id, "disabled");
      return { organization: toMessage(organization) };
    },
    async deleteOrganization({ id }, context) {
      await organizations.delete(requireCaller(context), id);
      return {};
    },
    async addMember({ orgId, userId, role }, context) {
      const ref = { org: orgId, userId };
      const member = await members.add(requireCaller(context), ref, (role || "viewer") as Role);
      return { member: toMemberMessage(member) };
    },
    async listMembers(request, context) {
      const page = toPageRequest(request);
      const { items, nextPageToken } = await members.list(requireCaller(context), request.orgId, page);
      return { members: items.map(toMemberMessage), nextPageToken };
    },
    async setMemberRole({ orgId, userId, role }, context) {
      const member = await members.setRole(requireCaller(context), { org: orgId, userId }, role as Role);
      return { member: toMemberMessage(member) };
    },
    async removeMember({ orgId, userId }, context) {
      await members.remove(requireCaller(context), { org: orgId, userId });
      return {};
    },
    async createProject({ orgId, name, title, metadata }, context) {
      const draft = { name, title, metadata: metadata ?? {} };
      return { project: toProjectMessage(await projects.create(requireCaller(context), orgId, draft)) };
    },
    async listProjects(request, context) {
      const page = toPageRequest(request);
      const { items, nextPageToken } = await projects.list(requireCaller(context), request.orgId, page);
      return { projects: items.map(toProjectMessage), nextPageToken };
    },
    async getProject({ id, orgId }, context) {
      const ref = { project: id, org: orgId || undefined };
      return { project: toProjectMessage(await projects.get(requireCaller(context), ref)) };
    },
    async updateProject({ id, orgId, body }, context) {
      const ref = { project: id, org: orgId || body?.orgId || undefined };
      const project = await projects.update(requireCaller(context), ref, toProjectPatch(body));
      return { project: toProjectMessage(project) };
    },
    async listProjectMembers(request, context) {
      const ref = { org: request.orgId, project: request.projectId };
      const page = toPageRequest(request);
      const { items, nextPageToken } = await projects.listMembers(requireCaller(context), ref, page);
      return { members: items.map(toProjectMemberMessage), nextPageToken };
    },
    async deleteProject({ orgId, projectId }, context) {
      await projects.delete(requireCaller(context), { org: orgId, project: projectId });
      return {};
    },
    async addProjectMember(request, context) {
      const ref = { org: request.orgId, project: request.projectId };
      await projects.addMember(requireCaller(context), ref, toProjectPrincipal(request));
      return {};
    },
    async removeProjectMember(request, context) {
      const ref = { org: request.orgId, project: request.projectId };
      await projects.removeMember(requireCaller(context), ref, toProjectPrincipal(request));
      return {};
    },
  } satisfies Partial<ServiceImpl<typeof OrganizationServiceSchema>>;
}

/** `vestibule.v1.FrontierService`: what only Frontier's clients ask. */
export function createFrontierHandler(organizations: OrganizationService, avatars: Pick<Avatars, "show">) {
  const toMessage = (organization: Organization) => toOrganizationMessage(organization, avatars);
  return {
    async listOrganizationsByCurrentUser({ state }, context) {
      const page = { size: frontierListSize, token: "" };
      const filter = { state: toState(state) };
      const { items } = await organizations.list(requireCaller(context), page, filter);
      return { organizations: items.map(toMessage) };
    },
    listCurrentUserGroups: () => ({ groups: [] }),
  } satisfies Partial<ServiceImpl<typeof FrontierService>>;
}
