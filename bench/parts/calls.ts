/** An almost empty call and a refused one, at our server and at the limits of each protocol. */
import { compare, median, type Result } from "./compare.ts";
import { quantile } from "./distribution.ts";
import type { LoadProcess } from "./processes.ts";
import { type BenchServer, findFreePort, startContender } from "./servers.ts";

const jsonHeaders = { "content-type": "application/json" };
const empty = "/vestibule.v1.AuthService/ListAuthStrategies";
/** Refused without a credential. */
const closed = "/vestibule.v1.AuthService/GetCurrentUser";

/** What our server manages of one call, beside what, and how many times as much is aimed at. */
export interface ComparedCall {
  readonly what: string;
  readonly ours: Result;
  readonly others: readonly (readonly [name: string, result: Result, aim: string])[];
}

/** How long calls wait at half of what a server manages: from when one was due to its whole answer, in milliseconds. */
export interface HalfLoad {
  readonly perSecond: number;
  /** The 99th percentile, of its windows the median. */
  readonly p99: number;
  /** How much longer it is at ours: the median over windows that follow each other. */
  readonly oursMore: number;
}

/** The almost empty call at half load: ours, the bare handler at half of its own, and it at half of ours. */
export type HalfLoads = Readonly<Record<"ours" | "bare" | "bareAsOurs", HalfLoad>>;

/** What is called, at which port, and whether that is to be refused. */
type Call = readonly [name: string, port: number, path: string, isRefused: boolean];

/** Lets our server, a bare handler and connect-node's adapter answer calls in turns, by either protocol. */
export async function compareCalls(
  load: LoadProcess,
  ours: BenchServer,
): Promise<{ readonly calls: readonly ComparedCall[]; readonly halfLoads: HalfLoads }> {
  await using contenders = new AsyncDisposableStack();
  const start = async (stack: "bare" | "connect") => {
    const h2Port = await findFreePort();
    const env = { BENCH_H2_PORT: String(h2Port), BENCH_STACK: stack };
    const contender = await startContender("bare-call", env);
    contenders.defer(() => contender.stop());
    return { port: contender.port, h2Port };
  };
  const [bare, adapter] = [await start("bare"), await start("connect")];
  const calls: readonly Call[] = [
    ["json", ours.port, empty, false],
    ["json refused", ours.port, closed, true],
    ["json bare", bare.port, empty, false],
    ["json adapter", adapter.port, empty, false],
    ["grpc", ours.port, empty, false],
    ["grpc refused", ours.port, closed, true],
    ["grpc bare", bare.h2Port, empty, false],
    ["grpc adapter", adapter.h2Port, empty, false],
  ];
  for (const call of calls) {
    await prepare(load, call);
    // Before its server stops: the generator goes on to others.
    contenders.defer(() => load.closeLoad(call[0]));
  }
  const json = await compareOne(load, "json", {
    what: "an almost empty call, Connect JSON",
    bare: "node:http",
  });
  const grpc = await compareOne(load, "grpc", { what: "an almost empty call, gRPC", bare: "node:http2" });
  const halves = [json[0]?.ours, json[0]?.others[0]?.[1]].map((result) => (result?.perSecond ?? 0) / 2);
  const halfLoads = await compareHalfLoads(load, [ours.port, bare.port], halves);
  return { calls: [...json, ...grpc], halfLoads };
}

/**
 * By turns, as a machine that stands still for a moment makes a percentile of
 * any. The busier a server, the longer what has come meanwhile keeps those
 * waiting who come later: so the bare handler is half busy as well, and beside
 * that as busy as our half load makes it.
 */
async function compareHalfLoads(
  load: LoadProcess,
  [oursPort = 0, barePort = 0]: readonly number[],
  [oursHalf = 0, bareHalf = 0]: readonly number[],
): Promise<HalfLoads> {
  const sides = {
    ours: [oursPort, oursHalf],
    bare: [barePort, bareHalf],
    bareAsOurs: [barePort, oursHalf],
  } as const;
  const toName = (side: string) => `paced ${side}`;
  for (const [side, [port, perSecond]] of Object.entries(sides)) {
    const call = { port, method: "POST", path: empty, headers: jsonHeaders, body: "{}", connections: 32 };
    const paced = { ...call, perSecond: Math.round(perSecond) };
    await load.prepare({ kind: "paced", name: toName(side), load: paced });
    await load.sample(toName(side), 2);
  }
  const percentiles: Record<keyof HalfLoads, number[]> = { ours: [], bare: [], bareAsOurs: [] };
  for (let round = 0; round < 15; round++) {
    for (const [side, seen] of Object.entries(percentiles)) {
      const { answer = [] } = await load.sample(toName(side), 1);
      seen.push(quantile(answer, 0.99));
    }
  }
  for (const side of Object.keys(sides)) await load.closeLoad(toName(side));
  const toHalfLoad = (side: keyof HalfLoads): HalfLoad => ({
    perSecond: sides[side][1],
    p99: median(percentiles[side]),
    oursMore: median(percentiles.ours.map((ours, round) => ours - (percentiles[side][round] ?? Number.NaN))),
  });
  return { ours: toHalfLoad("ours"), bare: toHalfLoad("bare"), bareAsOurs: toHalfLoad("bareAsOurs") };
}

async function prepare(load: LoadProcess, [name, port, path, isRefused]: Call): Promise<void> {
  if (name.startsWith("grpc")) {
    const grpc = { port, path, headers: {}, message: "", connections: 4, streams: 16, isRefused };
    return await load.prepare({ kind: "grpc", name, load: grpc });
  }
  const json = { port, method: "POST", path, headers: jsonHeaders, body: "{}", connections: 32, isRefused };
  await load.prepare({ kind: "http1", name, load: json });
}

async function compareOne(
  load: LoadProcess,
  protocol: "json" | "grpc",
  { what, bare }: { readonly what: string; readonly bare: string },
): Promise<ComparedCall[]> {
  const names = ["", " refused", " bare", " adapter"].map((name) => protocol + name);
  const [ours, refused, limit, adapter] = await compare(load, names);
  if (!ours || !refused || !limit || !adapter) throw new Error("nothing measured");
  return [
    {
      what,
      ours,
      others: [
        [`bare ${bare}`, limit, protocol === "json" ? "≥ 0.55" : ""],
        ["bare connect-node", adapter, protocol === "json" ? "≥ 5" : "≥ 3.5"],
      ],
    },
    { what: "a refused one", ours: refused, others: [["the one above", ours, "≥ 0.5"]] },
  ];
}
