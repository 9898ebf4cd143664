import { FrontdoorService as FrontdoorServiceSchema } from "@vestibule/proto/vestibule/v1/frontdoor_service_pb";
import type { Room } from "../../assembly/room.ts";
import { registerService } from "../../assembly/services.ts";
import { createFrontdoorAccess, type FrontdoorAccess } from "./access.ts";
import { createFrontdoorMethods } from "./handler.ts";
import { FrontdoorService, type FrontdoorServiceOptions } from "./service.ts";

/** Frontdoors, and who may do what in one. */
export interface FrontdoorsRoom extends Room {
  readonly frontdoorAccess: FrontdoorAccess;
}

/** Puts frontdoors themselves together. */
export function assembleFrontdoors(parts: Omit<FrontdoorServiceOptions, "frontdoorAccess">): FrontdoorsRoom {
  const frontdoorAccess = createFrontdoorAccess(parts.database.reader, parts.access);
  const frontdoors = new FrontdoorService({ ...parts, frontdoorAccess });
  return {
    frontdoorAccess,
    services: [registerService(FrontdoorServiceSchema, createFrontdoorMethods(frontdoors))],
  };
}
