/** The servers under measurement, ours and the others, each on the first core. */
import { type ChildProcess, execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { buildIfStale } from "../../scripts/build.ts";
import type { Answers } from "./inside.ts";
import { spawnPinned } from "./processes.ts";

export const clientId = "018f4d3e-9c1a-7cc2-8f0e-5b7f8e2d1a00";
export const clientSecret = "vsts_bench-bench-bench-bench-bench-bench-bench-bench";
/** Our server as `npm start` runs it. */
const command = [
  "--max-semi-space-size=8",
  "--initial-old-space-size=40",
  fileURLToPath(new URL("../../server/bin/vestibule.js", import.meta.url)),
];
const insideUrl = new URL("./inside.ts", import.meta.url).href;

/** A server that answers. */
export interface BenchServer {
  readonly port: number;
  readonly pid: number;
  /** From its spawn to its first answer of any kind, in milliseconds. */
  readonly listensAfterMs: number;
  /** From its spawn to when it says that it is ready, in milliseconds. */
  readonly readyAfterMs: number;
  stop(): Promise<void>;
}

/** A port nobody listens on. */
export async function findFreePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  return port;
}

/** How our server is to be started. */
export interface VestibuleOptions {
  /** Outlives the server; absent, it has a folder of its own that goes with it. */
  readonly dataDir?: string;
  /** Contents of the settings file. */
  readonly config?: object;
  /** By how many processes it serves, all of them on the one core. */
  readonly processes?: number;
  /** Takes something along that can be asked what only the process itself knows; costs it a little. */
  readonly observed?: boolean;
}

/** A server of ours that can be asked. */
export interface VestibuleServer extends BenchServer {
  /** Of a server that is `observed`. */
  ask<Q extends keyof Answers>(question: Q): Promise<Answers[Q]>;
}

/** Starts our server on SQLite. */
export async function startVestibule(options: VestibuleOptions = {}): Promise<VestibuleServer> {
  await buildIfStale();
  const port = await findFreePort();
  const dataDir = options.dataDir ?? makeDataDir();
  const configFile = join(dataDir, "bench.yaml");
  // JSON is YAML.
  writeFileSync(configFile, JSON.stringify(options.config ?? {}), { mode: 0o600 });
  const env = {
    VESTIBULE_CONFIG: configFile,
    VESTIBULE_LISTEN: `127.0.0.1:${port}`,
    VESTIBULE_DATA_DIR: dataDir,
    VESTIBULE_BOOTSTRAP_CLIENT_ID: clientId,
    VESTIBULE_BOOTSTRAP_CLIENT_SECRET: clientSecret,
  };
  const startedAt = performance.now();
  const isObserved = options.observed === true;
  const watching = isObserved ? ["--expose-gc", "--import", insideUrl] : [];
  const serve = ["serve", `--processes=${options.processes ?? 1}`];
  const child = spawnPinned(0, [...watching, ...command, ...serve], { env, quiet: true, ipc: isObserved });
  await untilAnswering(port, "/");
  const listensAfterMs = performance.now() - startedAt;
  await untilAnswering(port, "/healthz");
  const cleanUp = () => {
    if (options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
  };
  const server = toServer(child, port, performance.now() - startedAt, cleanUp, listensAfterMs);
  return { ...server, ask: (question) => ask(child, question) };
}

async function ask<Q extends keyof Answers>(child: ChildProcess, question: Q): Promise<Answers[Q]> {
  const answered = once(child, "message");
  child.send(question);
  const [{ answer }] = (await answered) as [{ answer: Answers[Q] }];
  return answer;
}

/** An empty folder for a server's data. */
export function makeDataDir(): string {
  return mkdtempSync(join(tmpdir(), "vestibule-bench-"));
}

/** Starts a contender that prints `ready`. */
export async function startContender(
  name: string,
  extra: Readonly<Record<string, string>> = {},
): Promise<BenchServer> {
  const port = await findFreePort();
  const file = fileURLToPath(new URL(`../contenders/${name}.ts`, import.meta.url));
  const env = { BENCH_PORT: String(port), BENCH_CLIENT_ID: clientId, BENCH_SECRET: clientSecret, ...extra };
  const startedAt = performance.now();
  const child = spawnPinned(0, [file], { env });
  if (child.stdout) await once(child.stdout, "data");
  return toServer(child, port, performance.now() - startedAt);
}

/**
 * Times a contender to its first answer: bundled as our own server is, or as
 * most people run one, with its packages in `node_modules`.
 */
export async function startTimedContender(name: string, form: "bundled" | "installed"): Promise<BenchServer> {
  const folder = mkdtempSync(
    form === "bundled" ? join(tmpdir(), "vestibule-bench-") : join(cacheFolder(), "bench-"),
  );
  const entry = fileURLToPath(new URL(`../contenders/${name}.ts`, import.meta.url));
  const out = join(folder, "main.mjs");
  const banner = 'import { createRequire } from "node:module";const require=createRequire(import.meta.url);';
  const bundling = form === "bundled" ? ["--bundle", "--minify-whitespace", `--banner:js=${banner}`] : [];
  const esbuild = fileURLToPath(new URL("../../node_modules/.bin/esbuild", import.meta.url));
  const flags = [...bundling, "--platform=node", "--format=esm", "--target=node22"];
  execFileSync(esbuild, [entry, ...flags, `--outfile=${out}`], { stdio: "ignore" });
  const port = await findFreePort();
  const startedAt = performance.now();
  const child = spawnPinned(0, [out], { env: { BENCH_PORT: String(port) }, quiet: true });
  await untilAnswering(port, "/");
  return toServer(child, port, performance.now() - startedAt, () => rmSync(folder, { recursive: true }));
}

/** A folder from which packages are found, and which nobody commits. */
function cacheFolder(): string {
  const folder = fileURLToPath(new URL("../../node_modules/.cache", import.meta.url));
  mkdirSync(folder, { recursive: true });
  return folder;
}

function toServer(
  child: ChildProcess,
  port: number,
  readyAfterMs: number,
  cleanUp = () => {},
  listensAfterMs = readyAfterMs,
): BenchServer {
  return {
    port,
    pid: child.pid ?? 0,
    listensAfterMs,
    readyAfterMs,
    async stop() {
      child.kill();
      if (child.exitCode === null) await once(child, "exit");
      cleanUp();
    },
  };
}

async function untilAnswering(port: number, path: string): Promise<void> {
  for (let attempt = 0; attempt < 4000; attempt++) {
    const isThere = await fetch(`http://127.0.0.1:${port}${path}`).then(
      (answer) => path === "/" || answer.ok,
      () => false,
    );
    if (isThere) return;
    await sleep(5);
  }
  throw new Error(`nobody answers on port ${port}`);
}
