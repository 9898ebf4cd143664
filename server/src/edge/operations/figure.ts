import type { Metric, Registry } from "prom-client";
import type { Figure } from "../../assembly/figure.ts";

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
