/**
 * Several texts of Prometheus as one, in which all lines of a metric stand
 * together, as the format demands: https://prometheus.io/docs/instrumenting/exposition_formats/
 */
export function mergeMetricTexts(texts: readonly string[]): string {
  /** By its comments, which are alike in all texts. */
  const blocks = new Map<string, string[]>();
  for (const line of texts.flatMap((text) => text.split(/\n(?=# HELP )/))) {
    const [help = "", type = "", ...samples] = line.trimEnd().split("\n");
    const head = `${help}\n${type}`;
    const known = blocks.get(head);
    if (known === undefined) blocks.set(head, samples);
    else known.push(...samples);
  }
  return `${[...blocks].map(([head, samples]) => [head, ...samples].join("\n")).join("\n\n")}\n`;
}
