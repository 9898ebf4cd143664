import type { House } from "../assembly/house.ts";
import { byLabel, counter, gauge, type Metric } from "../assembly/metric.ts";
import { systemMonotonicMs } from "../lib/clock.ts";
import type { Siblings } from "../lib/siblings.ts";
import { version } from "../lib/version.ts";
import { Admission } from "./admission.ts";
import { listFrontierMethods } from "./frontier/methods.ts";
import { createHealth, type Health } from "./operations/health.ts";
import { createMetrics } from "./operations/metrics.ts";
import { createEdge, type Edge, type EdgeOptions } from "./router.ts";

/** What the edge stands on, besides what the rooms offer. */
export interface EdgeParts
  extends Omit<
    EdgeOptions,
    "routes" | "prefixRoutes" | "services" | "frontierMethods" | "health" | "admission" | "metrics"
  > {
  /** With all rooms in it. */
  readonly house: House;
  readonly databaseDialect: string;
  /** Where the lines of the log go. */
  readonly logOutput: { readonly lostCount: number };
  /** The other processes that serve this port, if there are any. */
  readonly siblings?: Siblings | undefined;
}

/** The edge, and the switch that says whether it serves. */
export interface EdgeRoom extends Edge {
  readonly health: Health;
  /** Hears of each connection that is taken. */
  noteConnection(): void;
}

/** Puts the edge together over what the rooms offer. */
export function assembleEdge(parts: EdgeParts): EdgeRoom {
  const { house, tracing, siblings } = parts;
  const { services, routes, prefixRoutes } = house;
  const health = createHealth();
  const admission = new Admission({ monotonicMs: systemMonotonicMs });
  const metrics = createMetrics({ siblings });
  metrics.show([
    ...listProcessMetrics(parts, health, admission),
    ...house.metrics,
    ...listTraceMetrics(tracing),
  ]);
  const edge = createEdge({
    ...parts,
    routes,
    prefixRoutes,
    services,
    frontierMethods: listFrontierMethods(services),
    health,
    admission,
    metrics,
  });
  return { ...edge, health, noteConnection: () => admission.noteConnection() };
}

function listProcessMetrics(
  { databaseDialect, logOutput }: EdgeParts,
  health: Health,
  admission: Admission,
): Metric[] {
  return [
    gauge("build_info", "Always 1; the labels say what runs.", () => [
      { labels: { version, database: databaseDialect }, value: 1 },
    ]),
    gauge("ready", "1 while requests are taken, 0 before that and while the process ends.", () =>
      Number(health.isServing()),
    ),
    gauge("requests_waiting", "Requests that wait to be begun.", () => admission.waitingCount),
    gauge(
      "connections_unread",
      "Connections that are not read until it is their turn, since many requests wait.",
      () => admission.unreadCount,
    ),
    counter(
      "requests_refused_total",
      "Requests that were refused because there was more to do than could be done.",
      () => admission.refusedCount,
    ),
    counter("log_lines_lost_total", "Lines of the log that could not be written.", () => logOutput.lostCount),
  ];
}

function listTraceMetrics(tracing: EdgeParts["tracing"]): Metric[] {
  if (tracing === undefined) return [];
  return [
    counter(
      "trace_spans_total",
      "Spans that the collector took, and those that were lost on the way.",
      () => {
        const { exported, lost } = tracing.metrics();
        return byLabel("result", { exported, lost });
      },
    ),
    gauge("trace_spans_waiting", "Spans that wait to be exported.", () => tracing.metrics().waiting),
  ];
}
