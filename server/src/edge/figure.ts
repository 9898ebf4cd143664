import type { Metric, MetricValue, Registry } from "prom-client";
import type { Durations } from "../lib/durations.ts";

/** A value of a metric under labels; histograms name the series it belongs to. */
export type FigureValue = MetricValue<string> & { readonly metricName?: string };

/** A metric whose values are kept elsewhere and looked up when they are asked for. */
export interface Figure {
  /** Without `vestibule_`. */
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** One number where there are no labels. */
  read(): number | readonly FigureValue[] | Promise<number | readonly FigureValue[]>;
}

/** Values under one label, of a closed set. */
export function byLabel(label: string, values: Readonly<Record<string, number>>): FigureValue[] {
  return Object.entries(values).map(([key, value]) => ({ labels: { [label]: key }, value }));
}

/** The series of a histogram, whose buckets hold all below their bound, under one set of labels. */
export function toHistogram(
  name: string,
  durations: Durations,
  labels: Readonly<Record<string, string>> = {},
): FigureValue[] {
  const full = `vestibule_${name}`;
  let below = 0;
  const buckets = durations.buckets.map((inBucket, index) => {
    below += inBucket;
    const le = durations.bounds[index] ?? "+Inf";
    return { metricName: `${full}_bucket`, labels: { ...labels, le }, value: below };
  });
  return [
    ...buckets,
    { metricName: `${full}_sum`, labels, value: durations.seconds },
    { metricName: `${full}_count`, labels, value: durations.count },
  ];
}

/** Has the registry show a figure. It asks a metric for no more than `name` and `get`. */
export function registerFigure(registry: Registry, { name, help, type, read }: Figure): void {
  const full = `vestibule_${name}`;
  const get = async () => {
    const found = await read();
    const values = typeof found === "number" ? [{ labels: {}, value: found }] : found;
    return { name: full, help, type, aggregator: "sum", values };
  };
  registry.registerMetric({ name: full, get } as unknown as Metric);
}
