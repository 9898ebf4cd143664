/**
 * What requests cost a server in processor time, which other programs on the
 * machine do not add to: the rate at which they come is theirs to change.
 */
import { readdirSync, readFileSync } from "node:fs";
import { median } from "./compare.ts";
import type { LoadProcess } from "./processes.ts";

/** A prepared load, and the process that answers it. */
export interface CostlyLoad {
  readonly name: string;
  readonly pid: number;
}

/** What the requests of a load cost. */
export interface Cost {
  /** Median over the windows, in microseconds a request. */
  readonly microseconds: number;
  /** To those of the first load: the median of the ratios of windows that follow each other. */
  readonly toFirst: number;
}

/** Time that the threads of a process have been on a core, in microseconds. */
export function readCpuMicroseconds(pid: number): number {
  const folder = `/proc/${pid}/task`;
  const nanoseconds = readdirSync(folder).map((task) =>
    Number(readFileSync(`${folder}/${task}/schedstat`, "utf8").split(" ")[0]),
  );
  return nanoseconds.reduce((sum, each) => sum + each, 0) / 1000;
}

/** Lets prepared loads, of one server or of several, take turns. @throws Error when a request fails */
export async function compareCost(
  load: LoadProcess,
  loads: readonly CostlyLoad[],
  { rounds = 15, windowSeconds = 1, warmUpSeconds = 3 } = {},
): Promise<Cost[]> {
  const costOf = async ({ name, pid }: CostlyLoad): Promise<number> => {
    const before = readCpuMicroseconds(pid);
    const { requests, failures } = await load.run(name, windowSeconds);
    if (failures > 0) throw new Error(`requests failed: ${name}`);
    return (readCpuMicroseconds(pid) - before) / requests;
  };
  for (const { name } of loads) await load.run(name, warmUpSeconds);
  const costs: number[][] = loads.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, each] of loads.entries()) costs[index]?.push(await costOf(each));
  }
  return costs.map((ofOne) => ({
    microseconds: median(ofOne),
    toFirst: median(ofOne.map((cost, round) => cost / (costs[0]?.[round] ?? Number.NaN))),
  }));
}
