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
import { LoadProcess } from "./parts/processes.ts";
import type { Section } from "./parts/report.ts";
import { clientId, clientSecret, startVestibule, type VestibuleServer } from "./parts/servers.ts";

const connections = 128;
const rounds = 7;
const windowSeconds = 2;
const cores = 2;

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
interface Serving {
  readonly processes: readonly number[];
  readonly all: readonly number[];
}

async function startServing(count: number, config: object): Promise<{ server: VestibuleServer } & Serving> {
  const server = await startVestibule({ processes: count, config });
  if (count === 1) return { server, processes: [server.pid], all: [server.pid] };
  const countUp = async () => {
    const answer = await fetch(`http://127.0.0.1:${server.port}/metrics`);
    return (await answer.text()).match(/^vestibule_process_up\{.*\} 1$/gm)?.length;
  };
  while ((await countUp()) !== count) await sleep(50);
  const processes = listChildren(server.pid);
  return { server, processes, all: [server.pid, ...processes] };
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

async function measureDatabase(load: LoadProcess, dialect: Dialect, config: object): Promise<string[][]> {
  const alone = await startServing(1, config);
  // On Postgres both serve one database; each SQLite server has a file of its own.
  const several = await startServing(cores, config);
  try {
    const rows: string[][] = [];
    for (const name of Object.keys(aims) as CallName[]) {
      const prepared = [];
      for (const serving of [alone, several]) {
        const { service, headers, message } = (await toCalls(serving.server))[name];
        const loaded = `${dialect} ${name} ${serving.processes.length}`;
        await load.prepare({
          kind: "http1",
          name: loaded,
          load: {
            port: serving.server.port,
            method: "POST",
            path: `/vestibule.v1.${service}/${name}`,
            headers,
            body: JSON.stringify(message),
            connections,
          },
        });
        await load.run(loaded, 3);
        prepared.push({ loaded, serving, costs: [] as Cost[] });
      }
      for (let round = 0; round < rounds; round++) {
        for (const { loaded, serving, costs } of prepared) costs.push(await measure(load, loaded, serving));
      }
      for (const { loaded } of prepared) await load.closeLoad(loaded);
      const [one, two] = prepared.map(({ costs }) => costs);
      rows.push([dialect, ...toRow(name, dialect, one ?? [], two ?? [])]);
    }
    return rows;
  } finally {
    await several.server.stop();
    await alone.server.stop();
  }
}

function toRow(name: CallName, dialect: Dialect, one: readonly Cost[], two: readonly Cost[]): string[] {
  const times = one.map((alone, round) => {
    const { busiest = Number.NaN, total = Number.NaN } = two[round] ?? {};
    return alone.total / Math.max(busiest, total / cores);
  });
  const micros = (values: readonly number[]) => `${median(values).toFixed(0)} µs`;
  const aim = aims[name][dialect];
  return [
    name,
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
