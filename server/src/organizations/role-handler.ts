import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { FrontierService } from "@vestibule/proto/vestibule/v1/frontier_service_pb";
import { type Role as RoleMessage, RoleSchema } from "@vestibule/proto/vestibule/v1/role_pb";
import { type FrontierRole, frontierRoles } from "./frontier-roles.ts";

/** State of every role. */
const roleState = "enabled";

/** A role as answered. */
function toRoleMessage({ id, name, title, scope, permissions }: FrontierRole): RoleMessage {
  return create(RoleSchema, {
    id,
    name,
    title,
    permissions: [...permissions],
    state: roleState,
    scopes: [scope],
  });
}

/** Roles as Frontier's clients know them. */
export function createRoleMethods() {
  return {
    listRoles({ state, scopes }) {
      const wanted = frontierRoles.filter(({ scope }) => scopes.length === 0 || scopes.includes(scope));
      return { roles: state === "" || state === roleState ? wanted.map(toRoleMessage) : [] };
    },
    listOrganizationRoles: () => ({ roles: [] }),
  } satisfies Partial<ServiceImpl<typeof FrontierService>>;
}
