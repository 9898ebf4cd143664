import { collectDefaultMetrics, type Metric as RegisteredMetric, Registry } from "prom-client";
import { type Metric, type MetricValue, toHistogram } from "../../assembly/metric.ts";
import type { PlainRoute } from "../../http/plain-route.ts";
import { Durations } from "../../lib/counts.ts";
import type { RequestOutcome } from "../../lib/request.ts";
import type { Siblings } from "../../lib/siblings.ts";
import { mergeMetricTexts } from "./merged-metrics.ts";

/** Label of every request that no route knows. */
export const otherRoute = "other";

/** The process's metrics, in a registry of their own. */
export interface Metrics {
  readonly registry: Registry;
  /** Shows what other parts keep count of. */
  show(metrics: readonly Metric[]): void;
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
 *
 * Of several processes each answers with the metrics of all, every one under
 * the label `process`. Their sum would do for neither side: it falls when one
 * of them is started again, which reads as if all had begun anew.
 */
export function createMetrics(
  options: { readonly processMetrics?: boolean; readonly siblings?: Siblings | undefined } = {},
): Metrics {
  const { siblings } = options;
  const registry = new Registry();
  if (siblings !== undefined) registry.setDefaultLabels({ process: siblings.number });
  siblings?.offerMetrics(() => registry.metrics());
  if (options.processMetrics ?? true) {
    collectDefaultMetrics({ register: registry });
  }
  const metrics = new RequestMetrics();
  metrics.register(registry);
  let requestsInFlight = 0;
  registerMetric(registry, {
    name: "requests_in_flight",
    help: "Requests begun and not yet answered, open streams among them.",
    type: "gauge",
    read: () => requestsInFlight,
  });
  return {
    registry,
    show: (shown) => {
      for (const metric of shown) registerMetric(registry, metric);
    },
    begin() {
      requestsInFlight++;
    },
    end(route, outcome, seconds) {
      requestsInFlight--;
      metrics.add(route, outcome, seconds);
    },
    route: {
      method: "GET",
      path: "/metrics",
      handle: async () => ({
        status: 200,
        headers: { "content-type": registry.contentType, "cache-control": "no-store" },
        body: await readAll(registry, siblings),
      }),
    },
  };
}

async function readAll(registry: Registry, siblings: Siblings | undefined): Promise<string> {
  if (siblings === undefined) return await registry.metrics();
  const [own, others] = await Promise.all([registry.metrics(), siblings.gatherMetrics()]);
  return mergeMetricTexts([own, ...others]);
}

/** Has the registry show a metric, of which it asks for no more than `name` and `get`. */
function registerMetric(registry: Registry, { name, help, type, read }: Metric): void {
  const full = `vestibule_${name}`;
  const get = async () => {
    const found = await read();
    const values = typeof found === "number" ? [{ labels: {}, value: found }] : found;
    return { name: full, help, type, aggregator: "sum", values };
  };
  registry.registerMetric({ name: full, get } as unknown as RegisteredMetric);
}

/** Upper bounds of the duration histogram, in seconds. */
const durationBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** What is counted of one route. */
interface RouteMetrics {
  /** Code → kind of credential → requests. */
  readonly requests: Map<string, Map<string, number>>;
  readonly durations: Durations;
}

/**
 * Counts each request. The registry's own counters look a set of
 * labels up by sorting and joining it, which costs more than the rest of a
 * cheap request; these are kept in maps and put into its form when they are read.
 */
export class RequestMetrics {
  readonly #routes = new Map<string, RouteMetrics>();

  /** Counts a request. */
  add(route: string, { code = "unknown", credentialKind = "none" }: RequestOutcome, seconds: number): void {
    let metrics = this.#routes.get(route);
    if (metrics === undefined) {
      metrics = { requests: new Map(), durations: new Durations(durationBounds) };
      this.#routes.set(route, metrics);
    }
    let byCredential = metrics.requests.get(code);
    if (byCredential === undefined) {
      byCredential = new Map();
      metrics.requests.set(code, byCredential);
    }
    byCredential.set(credentialKind, (byCredential.get(credentialKind) ?? 0) + 1);
    metrics.durations.add(seconds);
  }

  /** Has the registry show them. */
  register(registry: Registry): void {
    registerMetric(registry, {
      name: "requests_total",
      help: "Requests answered, by RPC procedure or route, code, and kind of credential.",
      type: "counter",
      read: () => this.#countRequests(),
    });
    registerMetric(registry, {
      name: "request_duration_seconds",
      help: "Time from a request's head to the end of its answer.",
      type: "histogram",
      read: () => this.#measureDurations(),
    });
  }

  #countRequests(): MetricValue[] {
    const values: MetricValue[] = [];
    for (const [route, { requests }] of this.#routes) {
      for (const [code, byCredential] of requests) {
        for (const [credential, value] of byCredential)
          values.push({ labels: { route, code, credential }, value });
      }
    }
    return values;
  }

  #measureDurations(): MetricValue[] {
    return [...this.#routes].flatMap(([route, { durations }]) =>
      toHistogram("request_duration_seconds", durations, { route }),
    );
  }
}
