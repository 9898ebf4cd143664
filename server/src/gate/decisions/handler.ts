import type { ServiceImpl } from "@connectrpc/connect";
import type {
  GateService as GateServiceSchema,
  VisitorRequest,
} from "@vestibule/proto/vestibule/v1/gate_service_pb";
import { toDefinition } from "../../frontdoor/frontends/handler.ts";
import { requireCaller } from "../../principals/context.ts";
import type { DescribedVisit, ExplainService } from "./explain-service.ts";
import { gateReasons } from "./reasons.ts";

/** `vestibule.v1.GateService`. */
export function createGateMethods(explanations: ExplainService) {
  return {
    async explainDecision({ frontdoorId, request, customFrontend }, context) {
      const { isAllowed, reason, steps, identity } = await explanations.explain(
        requireCaller(context),
        frontdoorId,
        toVisit(request),
        customFrontend && toDefinition(customFrontend),
      );
      return {
        allowed: isAllowed,
        reason,
        message: gateReasons[reason].text,
        steps: steps.map(({ name, isPassed: ok, detail, providerId: authProviderId = "" }) => ({
          name,
          ok,
          detail,
          authProviderId,
        })),
        identityHeaders: identity.map(([name, value]) => ({ name, value })),
      };
    },
  } satisfies Partial<ServiceImpl<typeof GateServiceSchema>>;
}

function toVisit(request: VisitorRequest | undefined): DescribedVisit {
  const { host = "", method = "", target = "", headers = [] } = request ?? {};
  return {
    host,
    method: method || "GET",
    target: target || "/",
    lines: headers.flatMap(({ name, value }) => [name, value]),
  };
}
