/**
 * Operations: what those who run the process ask it. Owns `GET /healthz`,
 * `/ping` and `/metrics`, the health service of gRPC and its reflection. No
 * credential is asked for and none read; nothing of a noun is known, whose
 * metrics are handed in (`assembly/metric.ts`).
 */
import type { DescService } from "@bufbuild/protobuf";
import { Health as HealthService } from "@vestibule/proto/grpc/health/v1/health_pb";
import type { ServiceRegistration } from "../../assembly/services.ts";
import type { PlainRoute } from "../../http/plain-route.ts";
import { createHealthRoutes, createHealthService, type Health } from "./health.ts";
import type { Metrics } from "./metrics.ts";
import { createReflection } from "./reflection.ts";

/** What is offered to those who run the process. */
export interface Operations {
  readonly routes: readonly PlainRoute[];
  readonly services: readonly ServiceRegistration[];
  /** Whether a request target asks how the process is, which is answered however it is. */
  isVital(target: string | undefined): boolean;
}

/** @param shown the services that health and reflection tell of, beside their own */
export function createOperations(
  { health, metrics }: { readonly health: Health; readonly metrics: Metrics },
  shown: readonly DescService[],
): Operations {
  const healthService = createHealthService(
    health,
    shown.map(({ typeName }) => typeName),
  );
  const routes = [...createHealthRoutes(health), metrics.route];
  // A list: every request is looked up, and to hash its target takes longer than to see that it is none of these.
  const vitalPaths: readonly string[] = routes.map(({ path }) => path);
  const healthPath = `/${HealthService.typeName}/`;
  return {
    routes,
    services: [healthService, ...createReflection([...shown, HealthService])],
    isVital: (target = "") => vitalPaths.includes(target) || target.startsWith(healthPath),
  };
}
