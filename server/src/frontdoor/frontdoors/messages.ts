import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type Frontdoor as FrontdoorMessage,
  FrontdoorSchema,
} from "@vestibule/proto/vestibule/v1/frontdoor_pb";
import type { Frontdoor } from "./frontdoor.ts";

/** A frontdoor as callers see it. */
export function toFrontdoorMessage(frontdoor: Frontdoor): FrontdoorMessage {
  return create(FrontdoorSchema, {
    id: frontdoor.id,
    name: frontdoor.name,
    organizationId: frontdoor.orgId,
    createdAt: timestampFromDate(frontdoor.createdAt),
    updatedAt: timestampFromDate(frontdoor.updatedAt),
  });
}
