import { FrontdoorAuthProviderService } from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_service_pb";
import type { Room } from "../../assembly/room.ts";
import { registerService } from "../../assembly/services.ts";
import type { FrontdoorAccess } from "../frontdoors/access.ts";
import type { ProviderTypeContext } from "./context.ts";
import { createTypeMethods } from "./handler.ts";
import { createOwnPrincipals, type OwnPrincipalsOptions } from "./own-principals.ts";
import { createProviderTypes, type ProviderTypes } from "./provider-types.ts";
import { createSchemaRoutes } from "./schema-routes.ts";
import { createProviderValidator, type ProviderValidator } from "./validate.ts";

/** What the types of providers stand on. */
export interface ProviderTypeParts extends Omit<ProviderTypeContext, "own">, OwnPrincipalsOptions {
  readonly frontdoorAccess: FrontdoorAccess;
}

/** The types, and what holds data against their schemas. */
export interface ProviderTypesRoom extends Room {
  readonly types: ProviderTypes;
  readonly validator: ProviderValidator;
}

/** Puts the types of providers together. */
export function assembleProviderTypes(parts: ProviderTypeParts): ProviderTypesRoom {
  const types = createProviderTypes({ ...parts, own: createOwnPrincipals(parts) });
  return {
    types,
    validator: createProviderValidator(types.list),
    services: [
      registerService(
        FrontdoorAuthProviderService,
        createTypeMethods({ frontdoorAccess: parts.frontdoorAccess, types }),
      ),
    ],
    routes: createSchemaRoutes(types.list),
  };
}
