import { create } from "@bufbuild/protobuf";
import {
  type CustomFrontend as CustomFrontendMessage,
  CustomFrontendSchema,
} from "@vestibule/proto/vestibule/v1/frontdoor_pb";
import { toStruct } from "../../lib/proto.ts";
import type { CustomFrontend } from "./frontend.ts";

/** A custom frontend as callers see it. */
export function toFrontendMessage(frontend: CustomFrontend): CustomFrontendMessage {
  const { publicPaths, protectedPaths, emailPatterns, requiredClaims, ...policy } = frontend.policy;
  return create(CustomFrontendSchema, {
    id: frontend.id,
    frontdoorId: frontend.frontdoorId,
    hostname: frontend.hostname,
    authProviderIds: [...frontend.providerIds],
    policy: {
      ...policy,
      publicPaths: [...publicPaths],
      protectedPaths: [...protectedPaths],
      emailPatterns: [...emailPatterns],
      requiredClaims: toStruct(requiredClaims),
    },
    authorization: frontend.authorization,
    scheme: frontend.scheme,
    assertionHeader: frontend.assertionHeader,
    status: frontend.isActive ? "ACTIVE" : "INACTIVE",
  });
}
