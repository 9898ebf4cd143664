import type { ServiceImpl } from "@connectrpc/connect";
import type { FrontdoorService as FrontdoorServiceSchema } from "@vestibule/proto/vestibule/v1/frontdoor_service_pb";
import { defaultPageSize } from "../../lib/page-token.ts";
import { requireCaller } from "../../principals/context.ts";
import { toFrontdoorMessage } from "./messages.ts";
import type { FrontdoorService } from "./service.ts";

/** Frontdoors themselves, of `vestibule.v1.FrontdoorService`. */
export function createFrontdoorMethods(frontdoors: FrontdoorService) {
  return {
    async createFrontdoor({ organizationId, name }, context) {
      const frontdoor = await frontdoors.create(requireCaller(context), organizationId, name);
      context.responseHeader.set("location", `/frontdoor/${frontdoor.id}`);
      return { frontdoor: toFrontdoorMessage(frontdoor) };
    },
    async listFrontdoors({ organizationId, pageSize, pageToken }, context) {
      const page = { size: pageSize || defaultPageSize, token: pageToken };
      const { items, nextPageToken } = await frontdoors.list(requireCaller(context), organizationId, page);
      return { content: items.map(toFrontdoorMessage), nextPageToken };
    },
    async getFrontdoor({ id }, context) {
      return { frontdoor: toFrontdoorMessage(await frontdoors.get(requireCaller(context), id)) };
    },
    async deleteFrontdoor({ id }, context) {
      await frontdoors.delete(requireCaller(context), id);
      return {};
    },
  } satisfies Partial<ServiceImpl<typeof FrontdoorServiceSchema>>;
}
