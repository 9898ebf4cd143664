import { collectDefaultMetrics, Registry } from "prom-client";
import type { Figure } from "../../assembly/figure.ts";
import type { PlainRoute } from "../../http/plain-route.ts";
import type { RequestOutcome } from "../../lib/request.ts";
import { registerFigure } from "./figure.ts";
import { RequestFigures } from "./request-figures.ts";

/** Label of every request that no route knows. */
export const otherRoute = "other";

/** The process's figures, in a registry of their own. */
export interface Metrics {
  readonly registry: Registry;
  /** Shows what other parts keep count of. */
  show(figures: readonly Figure[]): void;
  /** Counts a request as begun. */
  begin(): void;
  /** Counts a request that was begun as over. */
  end(route: string, outcome: RequestOutcome, seconds: number): void;
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
  const figures = new RequestFigures();
  figures.register(registry);
  let requestsInFlight = 0;
  registerFigure(registry, {
    name: "requests_in_flight",
    help: "Requests begun and not yet answered, open streams among them.",
    type: "gauge",
    read: () => requestsInFlight,
  });
  return {
    registry,
    show: (shown) => {
      for (const figure of shown) registerFigure(registry, figure);
    },
    begin() {
      requestsInFlight++;
    },
    end(route, outcome, seconds) {
      requestsInFlight--;
      figures.add(route, outcome, seconds);
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
