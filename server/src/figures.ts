/**
 * What `/metrics` shows besides requests: figures that other parts keep
 * anyway, read when they are asked for and at no other time.
 */
import { byLabel, type Figure } from "./edge/figure.ts";
import type { Tracing } from "./lib/tracing.ts";

/** Spans on their way out; none when traces are off. */
export function listTraceFigures(tracing: Pick<Tracing, "figures"> | undefined): Figure[] {
  if (tracing === undefined) return [];
  return [
    {
      name: "trace_spans_total",
      help: "Spans that were handed to the collector, and those that were lost on the way.",
      type: "counter",
      read: () => {
        const { exported, lost } = tracing.figures();
        return byLabel("result", { exported, lost });
      },
    },
    {
      name: "trace_spans_waiting",
      help: "Spans that wait to be exported.",
      type: "gauge",
      read: () => tracing.figures().waiting,
    },
  ];
}
