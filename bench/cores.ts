/**
 * What a second process is worth: what a call costs one process that serves
 * alone, and each of two on one port. A machine with a load generator and other
 * programs on it has no two cores to spare, so it is reckoned from processor
 * time, which they do not add to: two processes carry as much as the busier of
 * them does on a core, and not more than two cores do with the supervisor's
 * share. What the database takes on Postgres is left out.
 *
 * All are kept to the first core, so that there is always more to do than can
 * be done: a process that waits for requests takes more time for each, since
 * fewer come in one turn of its event loop. That two share a core, and its
 * caches, tells against them.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { startPostgres } from "../test/parts/postgres-server.ts";
import { median } from "./parts/compare.ts";
import { readCpuMicroseconds } from "./parts/compare-cost.ts";
import { toMachineHeaders } from "./parts/frontdoor.ts";
import type { PlainLoad } from "./parts/http1-load.ts";
import { LoadProcess } from "./parts/processes.ts";
import type { Section } from "./parts/report.ts";
import {
  type BenchServer,
  clientId,
  clientSecret,
  findFreePort,
  startContender,
  startVestibule,
  type VestibuleServer,
} from "./parts/servers.ts";

const connections = 128;
const rounds = 31;
const windowSeconds = 0.5;
const cores = 2;

/**
 * For how long each process of a server is warmed up. Its code is compiled by
 * what it has answered: each of two, which share a core, is as far as one after
 * twice the time, and until then a call takes several times what it takes later.
 */
const warmUpSeconds = 4;

/** What is called, and how much more two processes are to carry than one, on each database. */
const aims = {
  AuthToken: { sqlite: 1.4, postgres: 1.8 },
  GetCurrentUser: { sqlite: 1.7, postgres: 1.8 },
  ListServiceUsers: { sqlite: 1.7, postgres: 1.8 },
  CreateServiceUser: { sqlite: undefined, postgres: undefined },
} as const;

type CallName = keyof typeof aims;
type Dialect = "sqlite" | "postgres";

const newKey = (bytes: number) => randomBytes(bytes).toString("base64url");

const toPostgresConfig = (databaseUrl: string) => ({
  database_url: databaseUrl,
  encryption_key: newKey(32),
  authentication: { session: { hash_secret_key: newKey(24), block_secret_key: newKey(24) } },
});

async function toCalls(server: VestibuleServer) {
  const machine = await toMachineHeaders(server);
  const json = { "content-type": "application/json" };
  const secret = { grant_type: "client_credentials", client_id: clientId, client_secret: clientSecret };
  const org = { org_id: "default" };
  return {
    AuthToken: { service: "AuthService", headers: json, message: secret },
    GetCurrentUser: { service: "AuthService", headers: machine, message: {} },
    ListServiceUsers: { service: "ServiceUserService", headers: machine, message: { ...org, page_size: 10 } },
    CreateServiceUser: {
      service: "ServiceUserService",
      headers: machine,
      message: { ...org, body: { title: "m" } },
    },
  } satisfies Record<CallName, object>;
}

/** The processes below one, as Linux tells. */
function listChildren(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

/** Who answers: the processes that serve, and the one above them if there is one. */
interface Serving<S extends BenchServer = BenchServer> {
  readonly server: S;
  readonly processes: readonly number[];
  readonly all: readonly number[];
}

function toServing<S extends BenchServer>(server: S, count: number): Serving<S> {
  if (count === 1) return { server, processes: [server.pid], all: [server.pid] };
  const processes = listChildren(server.pid);
  return { server, processes, all: [server.pid, ...processes] };
}

async function startServing(count: number, config: object): Promise<Serving<VestibuleServer>> {
  const server = await startVestibule({ processes: count, config });
  const countUp = async () => {
    const answer = await fetch(`http://127.0.0.1:${server.port}/metrics`);
    return (await answer.text()).match(/^vestibule_process_up\{.*\} 1$/gm)?.length;
  };
  while (count > 1 && (await countUp()) !== count) await sleep(50);
  return toServing(server, count);
}

/** Processor time per call, in microseconds. */
interface Cost {
  /** Of the busiest process: it bounds what all of them can do. */
  readonly busiest: number;
  readonly total: number;
}

async function measure(load: LoadProcess, name: string, { processes, all }: Serving): Promise<Cost> {
  const read = () => new Map(all.map((pid) => [pid, readCpuMicroseconds(pid)]));
  const before = read();
  const { requests, failures } = await load.run(name, windowSeconds);
  if (failures > 0) throw new Error(`requests failed: ${name}`);
  const after = read();
  const of = (pid: number) => ((after.get(pid) ?? 0) - (before.get(pid) ?? 0)) / requests;
  return {
    busiest: Math.max(...processes.map(of)),
    total: all.map(of).reduce((sum, each) => sum + each, 0),
  };
}

/** A call, and of each server what it costs there, window by window. */
async function measureCall(
  load: LoadProcess,
  call: string,
  servers: readonly Serving[],
  toLoad: (port: number, index: number) => Pick<PlainLoad, "path" | "headers" | "body">,
): Promise<Cost[][]> {
  const prepared = [];
  for (const [index, serving] of servers.entries()) {
    const { port } = serving.server;
    const name = `${call} ${serving.processes.length}`;
    const http1 = { port, method: "POST", connections, ...toLoad(port, index) };
    await load.prepare({ kind: "http1", name, load: http1 });
    await load.run(name, warmUpSeconds * serving.processes.length);
    prepared.push({ name, serving, costs: [] as Cost[] });
  }
  for (let round = 0; round < rounds; round++) {
    for (const { name, serving, costs } of prepared) costs.push(await measure(load, name, serving));
  }
  for (const { name } of prepared) await load.closeLoad(name);
  return prepared.map(({ costs }) => costs);
}

async function measureDatabase(load: LoadProcess, dialect: Dialect, config: object): Promise<string[][]> {
  const alone = await startServing(1, config);
  // On Postgres both serve one database; each SQLite server has a file of its own.
  const several = await startServing(cores, config);
  try {
    const calls = [await toCalls(alone.server), await toCalls(several.server)] as const;
    const rows: string[][] = [];
    for (const name of Object.keys(aims) as CallName[]) {
      const costs = await measureCall(load, name, [alone, several], (_, index) => {
        const { service, headers, message } = calls[index === 0 ? 0 : 1][name];
        return { path: `/vestibule.v1.${service}/${name}`, headers, body: JSON.stringify(message) };
      });
      rows.push([dialect, name, ...toCells(costs, aims[name][dialect])]);
    }
    return rows;
  } finally {
    await several.server.stop();
    await alone.server.stop();
  }
}

/** The limit: what a second process is worth to a handler that shares nothing but the port with the other. */
async function measureBare(load: LoadProcess): Promise<string[]> {
  const start = async (count: number) => {
    const env = { BENCH_H2_PORT: String(await findFreePort()), BENCH_PROCESSES: String(count) };
    return toServing(await startContender("bare-call", env), count);
  };
  const alone = await start(1);
  const several = await start(cores);
  try {
    const costs = await measureCall(load, "bare", [alone, several], () => ({
      path: "/vestibule.v1.AuthService/ListAuthStrategies",
      headers: { "content-type": "application/json" },
      body: "{}",
    }));
    return ["none", "bare node:http", ...toCells(costs)];
  } finally {
    await several.server.stop();
    await alone.server.stop();
  }
}

function toCells([one = [], two = []]: readonly (readonly Cost[])[], aim?: number): string[] {
  const times = one.map((alone, round) => {
    const { busiest = Number.NaN, total = Number.NaN } = two[round] ?? {};
    return alone.total / Math.max(busiest, total / cores);
  });
  const micros = (values: readonly number[]) => `${median(values).toFixed(0)} µs`;
  return [
    micros(one.map(({ total }) => total)),
    micros(two.map(({ total }) => total)),
    micros(two.map(({ busiest }) => busiest)),
    `${median(times).toFixed(2)}×`,
    `${Math.min(...times).toFixed(2)} to ${Math.max(...times).toFixed(2)}`,
    aim === undefined ? "" : `≥ ${aim}×`,
  ];
}

/** Servers of one process and of two take turns under the same load. */
export async function benchCores(): Promise<Section> {
  const load = new LoadProcess();
  const postgres = await startPostgres();
  try {
    return {
      title: "More than one core",
      columns: ["database", "call", "one process", "of two, both", "the busier", "carried", "windows", "aim"],
      rows: [
        await measureBare(load),
        ...(await measureDatabase(load, "sqlite", {})),
        ...(await measureDatabase(load, "postgres", toPostgresConfig(postgres.url))),
      ],
      note: `Processor time per call over ${connections} connections; both has the supervisor with it. Carried: by two processes on two cores, of what one carries on one, reckoned from that time.`,
    };
  } finally {
    load.close();
    await postgres.stop();
  }
}
