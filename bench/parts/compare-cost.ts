/**
 * What requests cost a server in processor time, which other programs on the
 * machine do not add to: the rate at which they come is theirs to change.
 */
import { readdirSync, readFileSync } from "node:fs";
import { median } from "./compare.ts";
import type { LoadProcess } from "./processes.ts";

/** What two loads of one server cost. */
export interface Costs {
  /** Medians over the windows, in microseconds a request. */
  readonly one: number;
  readonly other: number;
  /** Of the other to the one: the median of those of windows that follow each other. */
  readonly ratio: number;
}

/** Time that the threads of a process have been on a core, in microseconds. */
function readCpuMicroseconds(pid: number): number {
  const folder = `/proc/${pid}/task`;
  const nanoseconds = readdirSync(folder).map((task) =>
    Number(readFileSync(`${folder}/${task}/schedstat`, "utf8").split(" ")[0]),
  );
  return nanoseconds.reduce((sum, each) => sum + each, 0) / 1000;
}

/** Lets two prepared loads of one server take turns. @throws Error when a request fails */
export async function compareCost(
  load: LoadProcess,
  pid: number,
  [one, other]: readonly [string, string],
  { rounds = 15, windowSeconds = 1, warmUpSeconds = 3 } = {},
): Promise<Costs> {
  const costOf = async (name: string): Promise<number> => {
    const before = readCpuMicroseconds(pid);
    const { requests, failures } = await load.run(name, windowSeconds);
    if (failures > 0) throw new Error("requests failed");
    return (readCpuMicroseconds(pid) - before) / requests;
  };
  for (const name of [one, other]) await load.run(name, warmUpSeconds);
  const pairs: (readonly [number, number])[] = [];
  for (let round = 0; round < rounds; round++) pairs.push([await costOf(one), await costOf(other)]);
  return {
    one: median(pairs.map(([cost]) => cost)),
    other: median(pairs.map(([, cost]) => cost)),
    ratio: median(pairs.map(([first, second]) => second / first)),
  };
}
