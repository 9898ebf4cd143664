/**
 * More requests than one server can answer, at rates that wait for no answer:
 * the curve of throughput, latency, refusals and memory, and whether health is
 * told throughout. The load is made by a process of its own on the same machine,
 * over connections that were opened before: what opening them all at once does
 * to health is a figure of its own.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { Agent, get } from "node:http";
import { loadavg } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { basic, send } from "../parts/http.ts";
import { scrape } from "../parts/metrics.ts";
import type { OpenedConnections, OpenLoad, OpenLoadResult } from "../parts/open-load-process.ts";
import type { Part } from "../parts/part.ts";
import { startServer, type TestServer } from "../parts/server.ts";

const generator = join(import.meta.dirname, "../parts/open-load-process.ts");

/** So few connections that the server has their requests in its caches, as many as a busy one has, and more than fit into a second. */
const few = 64;
const many = 3_000;
const tooMany = 10_000;
/** Of the best with as many connections or fewer, how much there has to be at five times as many requests. */
const leastPart = 0.8;
const mostHealthMs = 100;
/** Times what the best needs. */
const mostMemory = 3;
const seconds = 6;
const overloadSeconds = 15;

export default {
  needs: [],
  limitMinutes: 20,
  async run(context) {
    const figures: string[] = [];
    for (const [name, toRequest] of Object.entries(requests)) {
      await using server = await startServer();
      const request = await toRequest(server);
      const drive = (load: Omit<OpenLoad, "port" | "request">) => driveServer(server, { ...load, request });
      await drive({ perSecond: 0, connections: few, seconds: 3 });
      const bestOfFew = await drive({ perSecond: 0, connections: few, seconds });
      figures.push(`${name}, ${few} connections: ${describe(bestOfFew)}`);
      const bestOfMany = await drive({ perSecond: 0, connections: many, seconds });
      figures.push(`${name}, ${many} connections: ${describe(bestOfMany)}`);
      const best = Math.max(bestOfFew.goodput, bestOfMany.goodput);
      for (const [times, connections] of curve) {
        const perSecond = Math.round(best * times);
        const found = await drive({
          perSecond,
          connections,
          seconds: times < 5 ? seconds : overloadSeconds,
        });
        const part = `${Math.round((found.goodput / best) * 100)} % of the best`;
        figures.push(
          `${name}, ${times}x = ${perSecond}/s, ${connections} connections: ${part}, ${describe(found)}`,
        );
        if (times < 5) continue;
        await context.check(`${name}, ${connections} connections`, () => {
          if (found.residentMiB > bestOfFew.residentMiB * mostMemory)
            throw new Error(`${found.residentMiB} MiB`);
          if (connections === many) judge(found, best);
          else if (found.answers["503"] === undefined) throw new Error("nothing was refused");
        });
      }
    }
    return `\n         ${figures.join("\n         ")}\n        `;
  },
} satisfies Part;

/** @throws Error for what there is too little of, or what takes too long. */
function judge({ goodput, health }: Found, best: number): void {
  if (goodput < best * leastPart) throw new Error(`only ${goodput} of ${best}/s`);
  for (const [kind, { p99Ms }] of Object.entries(health)) {
    if (p99Ms >= mostHealthMs) throw new Error(`/healthz took ${p99Ms} ms on ${kind}`);
  }
}

const requests = {
  "/oauth2/token": async (server: TestServer) =>
    toPost(
      "/oauth2/token",
      basic(server),
      "application/x-www-form-urlencoded",
      "grant_type=client_credentials",
    ),
  GetCurrentUser: async (server: TestServer) => {
    const answer = await send(`${server.url}/oauth2/token`, {
      method: "POST",
      headers: { ...basic(server), "content-type": "application/x-www-form-urlencoded" },
      body: "grant_type=client_credentials",
    });
    const authorization = `Bearer ${JSON.parse(answer.text).access_token}`;
    return toPost("/vestibule.v1.AuthService/GetCurrentUser", { authorization }, "application/json", "{}");
  },
};

function toPost(path: string, credential: object, type: string, body: string): string {
  const headers = { host: "localhost", ...credential, "content-type": type, "content-length": body.length };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  return `POST ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n${body}`;
}

/** The load: how many times the best, over how many connections. */
const curve = [
  [1, many],
  [2, many],
  [5, many],
  [5, tooMany],
] as const;

interface Found extends OpenLoadResult, OpenedConnections, Watched {
  /** While the connections were opened. */
  readonly healthAtOpening: Watched["health"];
}

/** What was seen of the server meanwhile. */
interface Watched {
  readonly health: Readonly<Record<string, HealthTimes>>;
  /** The most that it had resident. */
  readonly residentMiB: number;
  /** How much of a processor it took. */
  readonly serverCores: number;
}

/** How long `/healthz` took, in milliseconds. */
interface HealthTimes {
  readonly p99Ms: number;
  readonly mostMs: number;
}

async function driveServer(server: TestServer, load: Omit<OpenLoad, "port">): Promise<Found> {
  const argument = JSON.stringify({ ...load, port: server.port });
  const child = spawn(process.execPath, [generator, argument], { stdio: ["ignore", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout });
  const nextLine = async () => JSON.parse(String(await once(lines, "line")));
  const opening = watch(server);
  const opened: OpenedConnections = await nextLine();
  const { health: healthAtOpening } = await opening.stop();
  const running = watch(server);
  const [result, watched]: [OpenLoadResult, Watched] = await Promise.all([
    nextLine(),
    sleep(load.seconds * 1000).then(() => running.stop()),
  ]);
  return { ...opened, ...result, healthAtOpening, ...watched };
}

function watch(server: TestServer): { stop(): Promise<Watched> } {
  const isOver = new AbortController();
  const beganAtMs = performance.now();
  const watched = Promise.all([
    watchHealth(server, new Agent({ keepAlive: false }), isOver.signal),
    watchHealth(server, new Agent({ keepAlive: true, maxSockets: 1 }), isOver.signal),
    watchProcess(server, isOver.signal),
  ]);
  return {
    async stop() {
      isOver.abort();
      const seconds = (performance.now() - beganAtMs) / 1000;
      const [fresh, kept, { residentMiB, cpuSeconds }] = await watched;
      return {
        health: { "new connections": fresh, "a kept connection": kept },
        residentMiB,
        serverCores: Math.round((cpuSeconds / seconds) * 100) / 100,
      };
    },
  };
}

/** Asks twenty times a second, or again after 50 ms if that is later. */
async function watchHealth(server: TestServer, agent: Agent, isOver: AbortSignal): Promise<HealthTimes> {
  const times: number[] = [];
  while (!isOver.aborted) {
    const askedAtMs = performance.now();
    const status = await new Promise((resolve) => {
      const asked = get(`${server.url}/healthz`, { agent }, (answer) => {
        answer.resume().on("end", () => resolve(answer.statusCode));
      });
      asked.on("error", resolve);
    });
    times.push(status === 200 ? performance.now() - askedAtMs : Number.POSITIVE_INFINITY);
    await sleep(50);
  }
  agent.destroy();
  times.sort((a, b) => a - b);
  const p99 = times[Math.floor(times.length * 0.99)] ?? Number.NaN;
  return { p99Ms: Math.round(p99), mostMs: Math.round(times.at(-1) ?? Number.NaN) };
}

/** The most that the process had resident, and the processor's time that it took. */
async function watchProcess(
  server: TestServer,
  isOver: AbortSignal,
): Promise<{ residentMiB: number; cpuSeconds: number }> {
  const read = async () => {
    const samples = await scrape(server);
    const find = (name: string) => samples.find((sample) => sample.name === name)?.value ?? Number.NaN;
    return {
      residentMiB: Math.round(find("process_resident_memory_bytes") / 1024 / 1024),
      cpuSeconds: find("process_cpu_seconds_total"),
    };
  };
  const first = await read();
  let last = first;
  let { residentMiB } = first;
  do {
    await sleep(500, undefined, { signal: isOver }).catch(() => {});
    last = await read();
    residentMiB = Math.max(residentMiB, last.residentMiB);
  } while (!isOver.aborted);
  return { residentMiB, cpuSeconds: last.cpuSeconds - first.cpuSeconds };
}

function describe(found: Found): string {
  const { goodput, medianMs, p99Ms, sentMedianMs, sentP99Ms, due, answers, residentMiB } = found;
  const { openMs, health, healthAtOpening, cores, serverCores } = found;
  const times = (of: Watched["health"]) =>
    Object.entries(of)
      .map(([kind, { p99Ms, mostMs }]) => `${p99Ms} (at most ${mostMs}) ms on ${kind}`)
      .join(", ");
  return [
    `${goodput}/s`,
    `median ${medianMs} ms, p99 ${p99Ms} ms (from sending ${sentMedianMs} and ${sentP99Ms} ms)`,
    `of ${due} ${JSON.stringify(answers)}`,
    `${residentMiB} MiB`,
    `/healthz p99 ${times(health)}`,
    `all connections opened at once: ${openMs} ms, /healthz then ${times(healthAtOpening)}`,
    `cores: server ${serverCores}, generator ${cores}, load average ${loadavg()[0]?.toFixed(1)}`,
  ].join("; ");
}
