import type { ServiceImpl } from "@connectrpc/connect";
import type { GateService } from "@vestibule/proto/vestibule/v1/gate_service_pb";
import { defaultPageSize } from "../../lib/page-token.ts";
import { requireCaller } from "../../principals/context.ts";
import { toGateSessionMessage } from "./messages.ts";
import type { GateSessionService } from "./service.ts";

/** The methods of `vestibule.v1.GateService` about sessions at frontends. */
export function createGateSessionMethods(sessions: GateSessionService) {
  return {
    async listGateSessions({ frontdoorId, authProviderId, subject, pageSize, pageToken }, context) {
      const caller = requireCaller(context);
      const only = {
        ...(authProviderId !== "" && { providerId: authProviderId }),
        ...(subject !== "" && { subject }),
      };
      const page = { size: pageSize || defaultPageSize, token: pageToken };
      const { items, nextPageToken } = await sessions.list(caller, frontdoorId, only, page);
      const gateSessions = items.map((session) => toGateSessionMessage(session, caller.principal));
      return { gateSessions, nextPageToken };
    },
    async endGateSession({ frontdoorId, id }, context) {
      await sessions.end(requireCaller(context), frontdoorId, id);
      return {};
    },
    async endGateSessions({ frontdoorId, authProviderId: providerId, subject }, context) {
      const holder = { frontdoorId, providerId, subject };
      return { ended: await sessions.endAll(requireCaller(context), holder) };
    },
    async listOwnGateSessions(_request, context) {
      const caller = requireCaller(context);
      const found = await sessions.listOwn(caller);
      return { gateSessions: found.map((session) => toGateSessionMessage(session, caller.principal)) };
    },
    async endOwnGateSession({ id }, context) {
      await sessions.endOwn(requireCaller(context), id);
      return {};
    },
  } satisfies Partial<ServiceImpl<typeof GateService>>;
}
