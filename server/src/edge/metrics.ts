import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { RequestOutcome } from "../lib/request.ts";
import type { PlainRoute } from "./plain-route.ts";

/** Upper bounds of the duration histogram, in seconds. */
const durationBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Label of every request that no route knows. */
export const otherRoute = "other";

/** The process's figures, in a registry of their own. */
export interface Metrics {
  /** For parts that count things of their own. */
  readonly registry: Registry;
  /** Counts a request as begun; call the result once, when it is over. */
  begin(): (route: string, outcome: RequestOutcome) => void;
  /** `GET /metrics`, in the text format of Prometheus. */
  readonly route: PlainRoute;
}

/**
 * Makes the registry with the request metrics and, unless told otherwise,
 * those of the process.
 *
 * Labels take values from closed sets only: procedures and route paths that
 * exist (all else is `other`), codes, kinds of credential.
 */
export function createMetrics(options: { readonly processMetrics?: boolean } = {}): Metrics {
  const registry = new Registry();
  if (options.processMetrics ?? true) {
    collectDefaultMetrics({ register: registry });
  }
  const requests = new Counter({
    name: "vestibule_requests_total",
    help: "Requests answered, by RPC procedure or route, code, and kind of credential.",
    labelNames: ["route", "code", "credential"],
    registers: [registry],
  });
  const durations = new Histogram({
    name: "vestibule_request_duration_seconds",
    help: "Time from a request's head to the end of its answer.",
    labelNames: ["route"],
    buckets: durationBuckets,
    registers: [registry],
  });
  const inFlight = new Gauge({
    name: "vestibule_requests_in_flight",
    help: "Requests begun and not yet answered.",
    registers: [registry],
  });
  return {
    registry,
    begin: () => {
      inFlight.inc();
      const beganAt = performance.now();
      return (route, outcome) => {
        inFlight.dec();
        requests.inc({
          route,
          code: outcome.code ?? "unknown",
          credential: outcome.credentialKind ?? "none",
        });
        durations.observe({ route }, (performance.now() - beganAt) / 1000);
      };
    },
    route: {
      method: "GET",
      path: "/metrics",
      handle: async () => ({
        status: 200,
        headers: { "content-type": registry.contentType, "cache-control": "no-store" },
        body: await registry.metrics(),
      }),
    },
  };
}
