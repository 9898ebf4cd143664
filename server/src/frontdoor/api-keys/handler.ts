import type { ServiceImpl } from "@connectrpc/connect";
import type { FrontdoorAuthProviderService } from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_service_pb";
import { defaultPageSize } from "../../lib/page-token.ts";
import { fromOptionalTimestamp } from "../../lib/proto.ts";
import { requireCaller } from "../../principals/context.ts";
import { toApiKeyMessage } from "./messages.ts";
import type { ApiKeyService } from "./service.ts";

/** The keys of `API_KEY` providers. */
export function createApiKeyMethods(apiKeys: ApiKeyService) {
  return {
    async createApiKey(request, context) {
      const expiresAt = fromOptionalTimestamp(request.expiresAt);
      const draft = { title: request.title, ...(expiresAt && { expiresAt }) };
      const { record, key } = await apiKeys.create(requireCaller(context), request, draft);
      const provider = `/frontdoor/${request.frontdoorId.toLowerCase()}/auth-providers/${record.providerId}`;
      context.responseHeader.set("location", `${provider}/api-keys/${record.id}`);
      return { apiKey: toApiKeyMessage(record, key) };
    },
    async listApiKeys(request, context) {
      const page = { size: request.pageSize || defaultPageSize, token: request.pageToken };
      const { items, nextPageToken } = await apiKeys.list(requireCaller(context), request, page);
      return { apiKeys: items.map((key) => toApiKeyMessage(key)), nextPageToken };
    },
    async deleteApiKey(request, context) {
      await apiKeys.delete(requireCaller(context), request, request.keyId);
      return {};
    },
  } satisfies Partial<ServiceImpl<typeof FrontdoorAuthProviderService>>;
}
