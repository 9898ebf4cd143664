/**
 * More requests than one server can answer, at rates that wait for no answer:
 * the curve of throughput, latency, refusals and memory, and whether health is
 * told throughout. The load is made by a process of its own on the same machine.
 */
import { execFile } from "node:child_process";
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
const seconds = 6;

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
        const found = await drive({ perSecond, connections: 3_000, seconds });
        figures.push(`${name}, ${times}x = ${perSecond}/s: ${describe(found)}`);
        if (times < 5) continue;
        await context.check(name, () => {
          if (found.goodput < best.goodput * leastPart)
            throw new Error(`only ${found.goodput} of ${best.goodput}/s`);
          if (found.healthP99Ms >= mostHealthMs) throw new Error(`/healthz took ${found.healthP99Ms} ms`);
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
  readonly healthP99Ms: number;
  readonly residentMiB: number;
}

async function driveServer(server: TestServer, load: Omit<OpenLoad, "port">): Promise<Found> {
  const argument = JSON.stringify({ ...load, port: server.port });
  let isOver = false;
  const watched = watch(server, () => isOver);
  const { stdout } = await run(process.execPath, [generator, argument]);
  isOver = true;
  return { ...JSON.parse(stdout), ...(await watched) };
}

/** Asks for health twenty times a second on connections of its own, and for memory now and then. */
async function watch(server: TestServer, isOver: () => boolean) {
  const times: number[] = [];
  let residentMiB = 0;
  for (let turn = 0; !isOver(); turn += 1) {
    const askedAtMs = performance.now();
    const { status } = await send(`${server.url}/healthz`);
    times.push(status === 200 ? performance.now() - askedAtMs : Number.POSITIVE_INFINITY);
    if (turn % 10 === 0) {
      const { text } = await send(`${server.url}/metrics`);
      const bytes = Number(/^process_resident_memory_bytes (\S+)$/m.exec(text)?.[1]);
      residentMiB = Math.max(residentMiB, Math.round(bytes / 1024 / 1024));
    }
    await sleep(50);
  }
  times.sort((a, b) => a - b);
  return { healthP99Ms: Math.round(times[Math.floor(times.length * 0.99)] ?? Number.NaN), residentMiB };
}

function describe(found: Found): string {
  const { goodput, medianMs, p99Ms, due, answers, residentMiB, healthP99Ms } = found;
  return `${goodput}/s, median ${medianMs} ms, p99 ${p99Ms} ms, of ${due} ${JSON.stringify(answers)}, ${residentMiB} MiB, /healthz p99 ${healthP99Ms} ms`;
}
