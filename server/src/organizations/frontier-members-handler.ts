import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { UserRolesSchema } from "@vestibule/proto/vestibule/v1/frontier_members_pb";
import type { FrontierService } from "@vestibule/proto/vestibule/v1/frontier_service_pb";
import { UserSchema } from "@vestibule/proto/vestibule/v1/user_pb";
import { requireCaller } from "../principals/context.ts";
import type { Caller } from "../principals/principal.ts";
import { findFrontierRole, toFrontierRole } from "./frontier-roles.ts";
import { getFrontierRole, inFrontiersWords } from "./frontier-words.ts";
import { frontierListSize } from "./handler.ts";
import type { MemberRef, MemberService } from "./member-service.ts";
import type { Member } from "./organization.ts";
import { toRoleMessage } from "./role-handler.ts";

function toUser({ userId: id, email, emailVerified, title }: Member) {
  return create(UserSchema, { id, email, emailVerified, title });
}

function toUserRoles({ userId, role }: Member) {
  return create(UserRolesSchema, { userId, roles: [toRoleMessage(toFrontierRole(role))] });
}

/** Members in the shape that Frontier's screens know. */
export function createFrontierMemberMethods(members: MemberService) {
  /** Members with one of some roles, of all pages until they are enough. */
  async function listWith(caller: Caller, org: string, isWanted: (member: Member) => boolean) {
    const found: Member[] = [];
    let token = "";
    do {
      const page = await members.list(caller, org, { size: frontierListSize, token });
      found.push(...page.items.filter(isWanted));
      token = page.nextPageToken;
    } while (token !== "" && found.length < frontierListSize);
    return found.slice(0, frontierListSize);
  }

  async function remove(caller: Caller, ref: MemberRef) {
    await inFrontiersWords(members.remove(caller, ref));
    return {};
  }

  return {
    async listOrganizationUsers({ id, roleIds }, context) {
      const roles = roleIds.map((role) => findFrontierRole("app/organization", role)?.role);
      const isWanted = ({ role }: Member) => roles.length === 0 || roles.includes(role);
      const found = await listWith(requireCaller(context), id, isWanted);
      return { users: found.map(toUser), rolePairs: found.map(toUserRoles) };
    },
    async setOrganizationMemberRole({ orgId, userId, roleId }, context) {
      const { role } = getFrontierRole("app/organization", roleId);
      await inFrontiersWords(members.setRole(requireCaller(context), { org: orgId, userId }, role));
      return {};
    },
    removeOrganizationMember: ({ orgId, principalId }, context) =>
      remove(requireCaller(context), { org: orgId, userId: principalId }),
    removeOrganizationUser: ({ id, userId }, context) => remove(requireCaller(context), { org: id, userId }),
  } satisfies Partial<ServiceImpl<typeof FrontierService>>;
}
