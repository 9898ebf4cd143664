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

/** How long calls wait at half of what our server manages, at it and at the bare handler. */
export interface HalfLoad {
  readonly perSecond: number;
  /** 99th percentiles from when a call was due to its whole answer, in milliseconds. */
  readonly ours: number;
  readonly bare: number;
}

/** What is called, at which port, and whether that is to be refused. */
type Call = readonly [name: string, port: number, path: string, isRefused: boolean];

/** Lets our server, a bare handler and connect-node's adapter answer calls in turns, by either protocol. */
export async function compareCalls(
  load: LoadProcess,
  ours: BenchServer,
): Promise<{ readonly calls: readonly ComparedCall[]; readonly halfLoad: HalfLoad }> {
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
  const halfLoad = await compareHalfLoad(load, ours.port, bare.port, (json[0]?.ours.perSecond ?? 0) / 2);
  return { calls: [...json, ...grpc], halfLoad };
}

/** By turns, as a machine that stands still for a moment makes a percentile of either. */
async function compareHalfLoad(
  load: LoadProcess,
  oursPort: number,
  barePort: number,
  perSecond: number,
): Promise<HalfLoad> {
  const sides = [
    ["paced ours", oursPort],
    ["paced bare", barePort],
  ] as const;
  for (const [name, port] of sides) {
    const call = { port, method: "POST", path: empty, headers: jsonHeaders, body: "{}", connections: 32 };
    await load.prepare({ kind: "paced", name, load: { ...call, perSecond: Math.round(perSecond) } });
    await load.sample(name, 2);
  }
  const percentiles = new Map<string, number[]>(sides.map(([name]) => [name, []]));
  for (let round = 0; round < 7; round++) {
    for (const [name] of sides) {
      const { answer = [] } = await load.sample(name, 2);
      percentiles.get(name)?.push(quantile(answer, 0.99));
    }
  }
  const [ours = Number.NaN, bare = Number.NaN] = [...percentiles.values()].map(median);
  for (const [name] of sides) await load.closeLoad(name);
  return { perSecond, ours, bare };
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
