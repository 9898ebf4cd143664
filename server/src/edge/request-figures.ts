import type { Registry } from "prom-client";
import type { RequestOutcome } from "../lib/request.ts";
import { type FigureValue, registerFigure } from "./figure.ts";

/** Upper bounds of the duration histogram, in seconds. */
const durationBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** What is counted of one route. */
interface RouteFigures {
  /** Code → kind of credential → requests. */
  readonly requests: Map<string, Map<string, number>>;
  /** How many requests fell into each bucket, the last being for all that took longer; not cumulative. */
  readonly buckets: number[];
  seconds: number;
  count: number;
}

/**
 * The figures kept for each request. The registry's own counters look a set of
 * labels up by sorting and joining it, which costs more than the rest of a
 * cheap request; these are kept in maps and put into its form when they are read.
 */
export class RequestFigures {
  readonly #routes = new Map<string, RouteFigures>();

  /** Counts a request. */
  add(route: string, { code = "unknown", credentialKind = "none" }: RequestOutcome, seconds: number): void {
    let figures = this.#routes.get(route);
    if (figures === undefined) {
      figures = { requests: new Map(), buckets: durationBounds.map(() => 0).concat(0), seconds: 0, count: 0 };
      this.#routes.set(route, figures);
    }
    let byCredential = figures.requests.get(code);
    if (byCredential === undefined) {
      byCredential = new Map();
      figures.requests.set(code, byCredential);
    }
    byCredential.set(credentialKind, (byCredential.get(credentialKind) ?? 0) + 1);
    let bucket = 0;
    while (seconds > (durationBounds[bucket] ?? Number.POSITIVE_INFINITY)) bucket++;
    figures.buckets[bucket] = (figures.buckets[bucket] ?? 0) + 1;
    figures.seconds += seconds;
    figures.count++;
  }

  /** Has the registry show them. */
  register(registry: Registry): void {
    registerFigure(registry, {
      name: "requests_total",
      help: "Requests answered, by RPC procedure or route, code, and kind of credential.",
      type: "counter",
      read: () => this.#countRequests(),
    });
    registerFigure(registry, {
      name: "request_duration_seconds",
      help: "Time from a request's head to the end of its answer.",
      type: "histogram",
      read: () => this.#measureDurations(),
    });
  }

  #countRequests(): FigureValue[] {
    const values: FigureValue[] = [];
    for (const [route, { requests }] of this.#routes) {
      for (const [code, byCredential] of requests) {
        for (const [credential, value] of byCredential)
          values.push({ labels: { route, code, credential }, value });
      }
    }
    return values;
  }

  #measureDurations(): FigureValue[] {
    const name = "vestibule_request_duration_seconds";
    const values: FigureValue[] = [];
    for (const [route, { buckets, seconds, count }] of this.#routes) {
      let below = 0;
      for (const [index, inBucket] of buckets.entries()) {
        below += inBucket;
        const le = durationBounds[index] ?? "+Inf";
        values.push({ metricName: `${name}_bucket`, labels: { route, le }, value: below });
      }
      values.push({ metricName: `${name}_sum`, labels: { route }, value: seconds });
      values.push({ metricName: `${name}_count`, labels: { route }, value: count });
    }
    return values;
  }
}
