/** What the same requests take at two servers: with few rows, and with many. */
import { quantile } from "./distribution.ts";
import type { PlainRequest } from "./latency-load.ts";
import type { LoadProcess } from "./processes.ts";

/** Something of each of the two. */
export interface Both<T> {
  readonly few: T;
  readonly many: T;
}

/** Samples of both, taken in turns; each group of requests by its name. */
export async function sampleBoth(
  load: LoadProcess,
  groups: Both<Record<string, PlainRequest[]>>,
  ports: Both<number>,
  rounds: number,
): Promise<Both<Map<string, number[]>>> {
  const taken = { few: new Map<string, number[]>(), many: new Map<string, number[]>() };
  for (const size of ["few", "many"] as const) {
    const asked = { port: ports[size], groups: groups[size], pauseMs: 0 };
    await load.prepare({ kind: "latency", name: size, load: asked });
    await load.sample(size, 3);
  }
  for (let round = 0; round < rounds; round++) {
    for (const size of ["few", "many"] as const) {
      for (const [name, latencies] of Object.entries(await load.sample(size, 1))) {
        taken[size].set(name, [...(taken[size].get(name) ?? []), ...latencies]);
      }
    }
  }
  await load.closeLoad("few");
  await load.closeLoad("many");
  return taken;
}

/** What a request costs when nothing else comes in between. */
export const costOf = (taken: ReadonlyMap<string, readonly number[]>, name: string) =>
  quantile(taken.get(name) ?? [], 0.25);
