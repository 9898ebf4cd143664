import { FrontdoorService } from "@vestibule/proto/vestibule/v1/frontdoor_service_pb";
import type { Room } from "../../assembly/room.ts";
import { registerService } from "../../assembly/services.ts";
import { createFrontendMethods } from "./handler.ts";
import { FrontendService, type FrontendServiceOptions } from "./service.ts";

/** What is asked of custom frontends besides. */
export interface FrontendsRoom extends Room {
  /** A definition as it would be stored. @throws DomainError INVALID_REQUEST */
  draftFrontend(...asked: Parameters<FrontendService["draft"]>): ReturnType<FrontendService["draft"]>;
}

/** Puts custom frontends together. */
export function assembleFrontends(parts: FrontendServiceOptions): FrontendsRoom {
  const frontends = new FrontendService(parts);
  return {
    draftFrontend: (...asked) => frontends.draft(...asked),
    services: [registerService(FrontdoorService, createFrontendMethods(frontends))],
  };
}
