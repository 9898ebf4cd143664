/** What parts of the server keep count of, in terms of Prometheus; `edge/` shows it. */
import type { Durations } from "../lib/counts.ts";

/** A value of a metric under labels; histograms name the series it belongs to. */
export interface MetricValue {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  readonly metricName?: string;
}

/** A metric whose values are kept elsewhere and looked up when they are asked for. */
export interface Metric {
  /** Without `vestibule_`. */
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** One number where there are no labels. */
  read(): number | readonly MetricValue[] | Promise<number | readonly MetricValue[]>;
}

/** What goes up and down. */
export function gauge(name: string, help: string, read: Metric["read"]): Metric {
  return { name, help, type: "gauge", read };
}

/** What only grows, from 0 at the start of the process. */
export function counter(name: string, help: string, read: Metric["read"]): Metric {
  return { name, help, type: "counter", read };
}

/** Metrics of one name as one metric, with the values of all, where the first of them is. */
export function mergeMetrics(metrics: readonly Metric[]): Metric[] {
  return [...Map.groupBy(metrics, ({ name }) => name).values()].map(([first, ...others]) => {
    if (first === undefined || others.length === 0) return first as Metric;
    return { ...first, read: async () => (await Promise.all([first, ...others].map(readValues))).flat() };
  });
}

async function readValues({ read }: Metric): Promise<readonly MetricValue[]> {
  const found = await read();
  return typeof found === "number" ? [{ labels: {}, value: found }] : found;
}

/** Values under one label, of a closed set. */
export function byLabel(label: string, values: Readonly<Record<string, number>>): MetricValue[] {
  return Object.entries(values).map(([key, value]) => ({ labels: { [label]: key }, value }));
}

/** The series of a histogram, whose buckets hold all below their bound, under one set of labels. */
export function toHistogram(
  name: string,
  durations: Durations,
  labels: Readonly<Record<string, string>> = {},
): MetricValue[] {
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
