import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { FrontierService } from "@vestibule/proto/vestibule/v1/frontier_service_pb";
import { type Role as RoleMessage, RoleSchema } from "@vestibule/proto/vestibule/v1/role_pb";
import { requirePrincipal } from "../principals/context.ts";
import { type FrontierRole, frontierRoles } from "./frontier-roles.ts";
import type { HasPermission, PermissionQuestion } from "./permissions.ts";

/** State of every role. */
const roleState = "enabled";

/** A role as answered. */
export function toRoleMessage({ id, name, title, scope, permissions }: FrontierRole): RoleMessage {
  return create(RoleSchema, {
    id,
    name,
    title,
    permissions: [...permissions],
    state: roleState,
    scopes: [scope],
  });
}

/** Roles as Frontier's clients know them, and what they allow. */
export function createRoleMethods(hasPermission: HasPermission) {
  return {
    listRoles({ state, scopes }) {
      const wanted = frontierRoles.filter(({ scope }) => scopes.length === 0 || scopes.includes(scope));
      return { roles: state === "" || state === roleState ? wanted.map(toRoleMessage) : [] };
    },
    listOrganizationRoles: () => ({ roles: [] }),
    async checkResourcePermission(question, context) {
      return { status: await hasPermission(requirePrincipal(context), question) };
    },
    async batchCheckPermission({ bodies }, context) {
      const caller = requirePrincipal(context);
      const pairs: { body: PermissionQuestion; status: boolean }[] = [];
      for (const body of bodies) pairs.push({ body, status: await hasPermission(caller, body) });
      return { pairs };
    },
  } satisfies Partial<ServiceImpl<typeof FrontierService>>;
}
