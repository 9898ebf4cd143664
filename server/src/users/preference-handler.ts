import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type Preference as PreferenceMessage,
  PreferenceSchema,
} from "@vestibule/proto/vestibule/v1/frontier_preferences_pb";
import type { FrontierService } from "@vestibule/proto/vestibule/v1/frontier_service_pb";
import { requireCaller } from "../principals/context.ts";
import type { PreferenceService } from "./preference-service.ts";
import type { Preference } from "./preference-store.ts";

function toPreferenceMessage({ id, userId, name, value, ...at }: Preference): PreferenceMessage {
  return create(PreferenceSchema, {
    id,
    name,
    value,
    resourceId: userId,
    resourceType: "app/user",
    createdAt: timestampFromDate(at.createdAt),
    updatedAt: timestampFromDate(at.updatedAt),
  });
}

/** What people choose for themselves, as Frontier's screens ask for it. */
export function createPreferenceMethods(preferences: PreferenceService) {
  return {
    async listCurrentUserPreferences(_request, context) {
      return { preferences: (await preferences.list(requireCaller(context))).map(toPreferenceMessage) };
    },
    async createCurrentUserPreferences({ bodies }, context) {
      const chosen = new Map(bodies.map(({ name, value }) => [name, value]));
      const found = await preferences.choose(requireCaller(context), chosen);
      return { preferences: found.map(toPreferenceMessage) };
    },
  } satisfies Partial<ServiceImpl<typeof FrontierService>>;
}
