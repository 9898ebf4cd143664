/** Metrics as Prometheus reads them. */
import { send } from "./http.ts";

/** One value of a metric. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A server's metrics now. @throws Error for a line that is none of the text format's. */
export async function scrape(server: { readonly url: string }): Promise<Sample[]> {
  const { status, text } = await send(`${server.url}/metrics`);
  if (status !== 200) throw new Error(`/metrics answers ${status}`);
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map(readSample);
}

function readSample(line: string): Sample {
  const match = /^(?<name>[a-z_:][a-z0-9_:]*)(?:\{(?<labels>.*)\})? (?<value>\S+)$/i.exec(line);
  const { name = "", labels = "", value = "" } = match?.groups ?? {};
  if (match === null) throw new Error(`no line of the text format: ${line}`);
  const pairs = [...labels.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/gi)];
  return {
    name,
    labels: Object.fromEntries(pairs.map(([, key = "", text = ""]) => [key, text])),
    value: value === "Nan" || value === "NaN" ? Number.NaN : Number(value.replace("+Inf", "Infinity")),
  };
}

/** The sum of a metric's values whose labels are these and perhaps others. */
export function sumOf(samples: readonly Sample[], name: string, labels: Sample["labels"] = {}): number {
  const wanted = Object.entries(labels);
  return samples
    .filter((sample) => sample.name === name && wanted.every(([key, text]) => sample.labels[key] === text))
    .reduce((sum, { value }) => sum + value, 0);
}
