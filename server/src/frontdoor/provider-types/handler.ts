import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { FrontdoorAuthProviderService } from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_service_pb";
import { DomainError } from "../../lib/errors.ts";
import { requirePrincipal } from "../../principals/context.ts";
import type { FrontdoorAccess } from "../frontdoors/access.ts";
import { toSchemaStruct, toTypeMessage } from "./messages.ts";
import type { ProviderType } from "./provider-type.ts";
import type { ProviderTypes } from "./provider-types.ts";

/** Telling which types there are, to whoever may read in the frontdoor. */
export function createTypeMethods({
  frontdoorAccess,
  types,
}: {
  readonly frontdoorAccess: FrontdoorAccess;
  readonly types: ProviderTypes;
}) {
  async function getType(frontdoorId: string, name: string, context: HandlerContext): Promise<ProviderType> {
    await frontdoorAccess.require(requirePrincipal(context), frontdoorId, "read");
    const type = types.find(name);
    if (type === undefined) throw new DomainError("AUTH_PROVIDER_TYPE_NOT_FOUND");
    return type;
  }

  return {
    async listAuthProviderTypes({ frontdoorId }, context) {
      await frontdoorAccess.require(requirePrincipal(context), frontdoorId, "read");
      return { authProviderTypes: types.list.map(toTypeMessage) };
    },
    async getAuthProviderType({ frontdoorId, type }, context) {
      return { authProviderType: toTypeMessage(await getType(frontdoorId, type, context)) };
    },
    async getAuthProviderTypeSchema({ frontdoorId, type }, context) {
      return { schema: toSchemaStruct(await getType(frontdoorId, type, context)) };
    },
  } satisfies Partial<ServiceImpl<typeof FrontdoorAuthProviderService>>;
}
