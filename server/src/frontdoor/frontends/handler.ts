import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { CustomFrontendPolicy } from "@vestibule/proto/vestibule/v1/frontdoor_pb";
import type {
  CreateCustomFrontendRequest,
  FrontdoorService as FrontdoorServiceSchema,
} from "@vestibule/proto/vestibule/v1/frontdoor_service_pb";
import { readCondition } from "../../http/entity-tag.ts";
import { defaultPageSize } from "../../lib/page-token.ts";
import { requireCaller } from "../../principals/context.ts";
import type { ProviderData } from "../provider-types/provider-type.ts";
import {
  type AuthorizationUse,
  type CustomFrontend,
  defaultPolicy,
  type FrontendDefinition,
  type FrontendPolicy,
  type FrontendScheme,
} from "./frontend.ts";
import { toFrontendMessage } from "./messages.ts";
import { type FrontendService, toFrontendTag } from "./service.ts";

/** The custom frontends of a frontdoor, of `vestibule.v1.FrontdoorService`. */
export function createFrontendMethods(frontends: FrontendService) {
  return {
    async createCustomFrontend(request, context) {
      const wanted = toDefinition(request);
      const frontend = await frontends.create(requireCaller(context), request.frontdoorId, wanted);
      const { id, frontdoorId } = frontend;
      context.responseHeader.set("location", `/frontdoor/${frontdoorId}/custom-frontends/${id}`);
      return answerFrontend(frontend, context);
    },
    async listCustomFrontends({ frontdoorId, pageSize, pageToken }, context) {
      const page = { size: pageSize || defaultPageSize, token: pageToken };
      const { items, nextPageToken } = await frontends.list(requireCaller(context), frontdoorId, page);
      return { content: items.map(toFrontendMessage), nextPageToken };
    },
    async getCustomFrontend(ref, context) {
      return answerFrontend(await frontends.get(requireCaller(context), ref), context);
    },
    async replaceCustomFrontend(request, context) {
      const wanted = toDefinition(request);
      const condition = readCondition(context.requestHeader);
      const frontend = await frontends.replace(requireCaller(context), request, wanted, condition);
      return answerFrontend(frontend, context);
    },
    async deleteCustomFrontend(ref, context) {
      await frontends.delete(requireCaller(context), ref, readCondition(context.requestHeader));
      return {};
    },
  } satisfies Partial<ServiceImpl<typeof FrontdoorServiceSchema>>;
}

function answerFrontend(frontend: CustomFrontend, { responseHeader }: HandlerContext) {
  responseHeader.set("etag", toFrontendTag(frontend));
  return { customFrontend: toFrontendMessage(frontend) };
}

/** What a request says of a frontend. The schema lets nothing else through. */
export function toDefinition(
  request: Pick<
    CreateCustomFrontendRequest,
    "hostname" | "authProviderIds" | "policy" | "authorization" | "scheme" | "assertionHeader"
  >,
): FrontendDefinition {
  return {
    hostname: request.hostname,
    providerIds: request.authProviderIds,
    policy: toPolicy(request.policy),
    authorization: (request.authorization || "JUDGE") as AuthorizationUse,
    scheme: (request.scheme || "https") as FrontendScheme,
    assertionHeader: request.assertionHeader,
  };
}

function toPolicy(policy: CustomFrontendPolicy | undefined): FrontendPolicy {
  if (policy === undefined) return defaultPolicy;
  const { publicPaths, protectedPaths, emailPatterns, corsPreflight, apiKeyRate: rate } = policy;
  return {
    publicPaths,
    protectedPaths,
    emailPatterns,
    requiredClaims: (policy.requiredClaims ?? {}) as ProviderData,
    corsPreflight,
    sessionMaxAge: policy.sessionMaxAge || defaultPolicy.sessionMaxAge,
    ...(rate && { apiKeyRate: { requests: rate.requests, perSeconds: rate.perSeconds } }),
  };
}
