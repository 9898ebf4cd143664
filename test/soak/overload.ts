/**
 * More requests than one server can answer, at rates that wait for no answer:
 * the curve of throughput, latency, refusals and memory, and whether health is
 * told throughout. The load is made by a process of its own on the same machine.
 */
import { execFile } from "node:child_process";
import { Agent, get } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { basic, send } from "../parts/http.ts";
import type { OpenLoad, OpenLoadResult } from "../parts/open-load-process.ts";
import type { Part } from "../parts/part.ts";
import { startServer, type TestServer } from "../parts/server.ts";

const run = promisify(execFile);
const generator = join(import.meta.dirname, "../parts/open-load-process.ts");

/** Of the best, how much there has to be at five times as many requests. */
const leastPart = 0.8;
const mostHealthMs = 100;
/** Times what the best needs. */
const mostMemory = 3;
const seconds = 6;
/** Twenty times a second for so long that one in a hundred is not the first second alone, in which thousands connect. */
const overloadSeconds = 15;

export default {
  needs: [],
  limitMinutes: 15,
  async run(context) {
    const figures: string[] = [];
    for (const [name, toRequest] of Object.entries(requests)) {
      await using server = await startServer();
      const request = await toRequest(server);
      const drive = (load: Omit<OpenLoad, "port" | "request">) => driveServer(server, { ...load, request });
      await drive({ perSecond: 0, connections: 64, seconds: 3 });
      const best = await drive({ perSecond: 0, connections: 64, seconds });
      figures.push(`${name}, 64 connections: ${describe(best)}`);
      for (const times of [1, 2, 5]) {
        const perSecond = Math.round(best.goodput * times);
        const found = await drive({
          perSecond,
          connections: 3_000,
          seconds: times < 5 ? seconds : overloadSeconds,
        });
        figures.push(`${name}, ${times}x = ${perSecond}/s: ${describe(found)}`);
        if (times < 5) continue;
        await context.check(name, () => {
          if (found.goodput < best.goodput * leastPart)
            throw new Error(`only ${found.goodput} of ${best.goodput}/s`);
          if (found.residentMiB > best.residentMiB * mostMemory) throw new Error(`${found.residentMiB} MiB`);
          for (const [kind, { p99Ms }] of Object.entries(found.health)) {
            if (p99Ms >= mostHealthMs) throw new Error(`/healthz took ${p99Ms} ms on ${kind}`);
          }
        });
      }
    }
    return `\n         ${figures.join("\n         ")}\n        `;
  },
} satisfies Part;

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

interface Found extends OpenLoadResult {
  readonly health: Readonly<Record<string, HealthTimes>>;
  readonly residentMiB: number;
}

/** How long `/healthz` took, in milliseconds. */
interface HealthTimes {
  readonly p99Ms: number;
  readonly mostMs: number;
}

async function driveServer(server: TestServer, load: Omit<OpenLoad, "port">): Promise<Found> {
  const argument = JSON.stringify({ ...load, port: server.port });
  const isOver = new AbortController();
  const watched = Promise.all([
    watchHealth(server, new Agent({ keepAlive: false }), isOver.signal),
    watchHealth(server, new Agent({ keepAlive: true, maxSockets: 1 }), isOver.signal),
    watchMemory(server, isOver.signal),
  ]);
  const { stdout } = await run(process.execPath, [generator, argument]);
  isOver.abort();
  const [fresh, kept, residentMiB] = await watched;
  return {
    ...JSON.parse(stdout),
    health: { "new connections": fresh, "a kept connection": kept },
    residentMiB,
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

/** The most that the process had resident, in MiB. */
async function watchMemory(server: TestServer, isOver: AbortSignal): Promise<number> {
  let mostMiB = 0;
  while (!isOver.aborted) {
    const { text } = await send(`${server.url}/metrics`);
    const bytes = Number(/^process_resident_memory_bytes (\S+)$/m.exec(text)?.[1]);
    mostMiB = Math.max(mostMiB, Math.round(bytes / 1024 / 1024));
    await sleep(500);
  }
  return mostMiB;
}

function describe(found: Found): string {
  const { goodput, medianMs, p99Ms, due, answers, residentMiB, health } = found;
  const times = Object.entries(health).map(
    ([kind, { p99Ms, mostMs }]) => `${p99Ms} (at most ${mostMs}) ms on ${kind}`,
  );
  return `${goodput}/s, median ${medianMs} ms, p99 ${p99Ms} ms, of ${due} ${JSON.stringify(answers)}, ${residentMiB} MiB, /healthz p99 ${times.join(", ")}`;
}
