import { FrontdoorService } from "@vestibule/proto/vestibule/v1/frontdoor_service_pb";
import type { Room } from "../../assembly/room.ts";
import { registerService } from "../../assembly/services.ts";
import { createFrontendMethods } from "./handler.ts";
import { FrontendService, type FrontendServiceOptions } from "./service.ts";

/** Puts custom frontends together. */
export function assembleFrontends(parts: FrontendServiceOptions): Room {
  const frontends = new FrontendService(parts);
  return { services: [registerService(FrontdoorService, createFrontendMethods(frontends))] };
}
