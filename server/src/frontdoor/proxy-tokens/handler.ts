import type { ServiceImpl } from "@connectrpc/connect";
import type { FrontdoorService } from "@vestibule/proto/vestibule/v1/frontdoor_service_pb";
import { requireCaller } from "../../principals/context.ts";
import { toProxyTokenMessage } from "./messages.ts";
import type { ProxyTokenService } from "./service.ts";

/** The proxy tokens of a frontdoor, of `vestibule.v1.FrontdoorService`. */
export function createProxyTokenMethods(proxyTokens: ProxyTokenService) {
  return {
    async createProxyToken({ frontdoorId, title }, context) {
      const { record, token } = await proxyTokens.create(requireCaller(context), frontdoorId, title);
      const location = `/frontdoor/${record.frontdoorId}/proxy-tokens/${record.id}`;
      context.responseHeader.set("location", location);
      return { proxyToken: toProxyTokenMessage(record, token) };
    },
    async listProxyTokens({ frontdoorId }, context) {
      const tokens = await proxyTokens.list(requireCaller(context), frontdoorId);
      return { proxyTokens: tokens.map((token) => toProxyTokenMessage(token)) };
    },
    async deleteProxyToken({ frontdoorId, id }, context) {
      await proxyTokens.delete(requireCaller(context), frontdoorId, id);
      return {};
    },
  } satisfies Partial<ServiceImpl<typeof FrontdoorService>>;
}
