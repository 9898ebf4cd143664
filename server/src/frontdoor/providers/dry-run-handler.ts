import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { AuthProviderSample } from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_pb";
import type { FrontdoorAuthProviderService } from "@vestibule/proto/vestibule/v1/frontdoor_auth_provider_service_pb";
import { requireCaller } from "../../principals/context.ts";
import type { ProviderCheck, ProviderData } from "../provider-types/provider-type.ts";
import type { DryRunDraft, DryRunService } from "./dry-run-service.ts";

/**
 * Dry runs of providers, at once or a check at a time.
 *
 * @param stopping aborts when the server begins to stop.
 */
export function createDryRunMethods(dryRuns: DryRunService, stopping: AbortSignal) {
  const endOf = (context: HandlerContext) => AbortSignal.any([context.signal, stopping]);
  return {
    async testAuthProvider(request, context) {
      const checks: ProviderCheck[] = [];
      const run = dryRuns.test(requireCaller(context), toDryRun(request), endOf(context));
      for await (const check of run) checks.push(check);
      return { ok: checks.every(({ ok }) => ok), checks: checks.map((check) => ({ ...check })) };
    },
    async *watchAuthProviderTest(request, context) {
      const run = dryRuns.test(requireCaller(context), toDryRun(request), endOf(context));
      for await (const check of run) yield { check: { ...check } };
    },
  } satisfies Partial<ServiceImpl<typeof FrontdoorAuthProviderService>>;
}

function toDryRun(request: {
  readonly frontdoorId: string;
  readonly id: string;
  readonly type?: string | undefined;
  readonly data?: object | undefined;
  readonly sample?: AuthProviderSample | undefined;
}): DryRunDraft {
  const { frontdoorId, id, type, data, sample } = request;
  return {
    frontdoorId,
    id,
    ...(type !== undefined && { type }),
    ...(data !== undefined && { data: data as ProviderData }),
    sample: { token: sample?.token ?? "", apiKey: sample?.apiKey ?? "" },
  };
}
