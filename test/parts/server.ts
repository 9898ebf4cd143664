/** The built server as a process of its own, over either database, for tests from outside. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request as requestPlain } from "node:http";
import { request as requestTls } from "node:https";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { buildIfStale } from "../../scripts/build.ts";
import { createTestDatabase } from "./postgres.ts";

const builtCommand = fileURLToPath(new URL("../../server/bin/vestibule.js", import.meta.url));
const startTimeoutMs = 50_000;
const stopTimeoutMs = 30_000;

/** What outlives a server's process: a later or a second server may be given it. */
export interface ServerState {
  /** The server's own folder: on SQLite the database is in there. */
  readonly dataDir: string;
  /** Address of the Postgres database; undefined on SQLite. */
  readonly databaseUrl: string | undefined;
  /** The bootstrap credential, a superuser's. */
  readonly clientId: string;
  readonly clientSecret: string;
  /** Deletes the folder and the database. Stop the servers over it first. */
  remove(): Promise<void>;
}

/** How a test wants its server. */
export interface ServerOptions {
  /** Default `sqlite`. Each server gets a fresh database, unless `state` brings one. */
  readonly database?: "sqlite" | "postgres";
  /** State of an earlier server, or on Postgres of one that still runs. */
  readonly state?: ServerState;
  /** Environment variables besides the ones set here; these win. */
  readonly env?: Readonly<Record<string, string>>;
  /** Contents of the configuration file, by YAML key. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** How many processes serve; default one. */
  readonly processes?: number;
  /** An open file that takes what it prints, instead of `stdout()` and `stderr()`. */
  readonly output?: number;
  /** File of another program's command; default the one that is built from the sources. */
  readonly command?: string | undefined;
  /** A command that runs what follows it, with other rights, limits or disks than this process has. */
  readonly prefix?: readonly string[];
  /** One that {@link findFreePort} found, where others must know it before; default any. */
  readonly port?: number;
}

/** A server that answers. */
export interface TestServer {
  /** `http://127.0.0.1:<port>`, or https when it has a certificate. */
  readonly url: string;
  readonly port: number;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly state: ServerState;
  readonly pid: number;
  /** Everything printed so far. */
  stdout(): string;
  stderr(): string;
  /** Resolves with its exit code, null after a signal, whenever and however it ends. */
  readonly ended: Promise<number | null>;
  /**
   * Asks it to end (SIGTERM) and resolves with its exit code.
   *
   * @throws Error when it has not ended after 30 seconds; it is killed then.
   */
  stop(): Promise<number | null>;
  /** Ends it at once (SIGKILL), as a power cut would. Resolves when it is gone. */
  kill(): Promise<void>;
  /** Kills it if it still runs and removes its state. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Starts the server on a free port and resolves once `/healthz` answers 200.
 *
 * @throws Error with all it printed when it ends before that, or says nothing for 20 seconds.
 */
export async function startServer(options: ServerOptions = {}): Promise<TestServer> {
  await buildIfStale();
  const state = options.state ?? (await createState(options.database ?? "sqlite"));
  const port = options.port ?? (await findFreePort());
  const env = { ...environmentFor(state, port, options), ...options.env };
  const { processes } = options;
  const args = processes === undefined ? [] : [`--processes=${processes}`];
  const running = runCommand(["serve", ...args], env, options);
  const server = toTestServer(running, state, port, isTls(options));
  try {
    await untilServing(server, running);
  } catch (error) {
    await server.kill();
    if (options.state === undefined) await state.remove();
    throw error;
  }
  return server;
}

/** How a run of the command ended. */
export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Is given what sends a running command a signal. */
export type OnStarted = (send: (signal: "SIGINT" | "SIGKILL") => void) => void;

/**
 * Runs another command of the built server to its end: `migrate`, `keys list`,
 * or a `serve` that is expected to refuse. `signal` kills it.
 */
export async function runVestibule(
  args: readonly string[],
  state: ServerState,
  options: Omit<ServerOptions, "state" | "database" | "output"> & {
    readonly signal?: AbortSignal;
    readonly onStarted?: OnStarted;
  } = {},
): Promise<CommandResult> {
  await buildIfStale();
  const port = await findFreePort();
  const running = runCommand(args, { ...environmentFor(state, port, options), ...options.env }, options);
  options.signal?.addEventListener("abort", () => running.child.kill("SIGKILL"));
  options.onStarted?.((signal) => void running.child.kill(signal));
  const code = await running.ended;
  return { code, stdout: running.stdout(), stderr: running.stderr() };
}

/** Makes an empty data folder, and on Postgres an empty database. */
export async function createState(database: "sqlite" | "postgres"): Promise<ServerState> {
  const dataDir = mkdtempSync(join(tmpdir(), "vestibule-server-"));
  folders.add(dataDir);
  const postgres = database === "postgres" ? await createTestDatabase() : undefined;
  return {
    dataDir,
    databaseUrl: postgres?.url,
    clientId: randomUUID(),
    clientSecret: `test-${randomUUID()}-${randomUUID()}`,
    async remove() {
      rmSync(dataDir, { recursive: true, force: true });
      folders.delete(dataDir);
      await postgres?.drop();
    },
  };
}

// What is left when a test file ends without cleaning up goes with its process.
const folders = new Set<string>();
const children = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of children) child.kill("SIGKILL");
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

// Processes that share a database need the same keys; on SQLite each makes its own.
const sharedKeys = {
  encryptionKey: Buffer.alloc(32, "encryption").toString("base64url"),
  session: {
    hash_secret_key: "hash-hash-hash-hash-hash-hash-32",
    block_secret_key: "block-block-block-block-block-32",
  },
};

function environmentFor(state: ServerState, port: number, options: ServerOptions): Record<string, string> {
  const isPostgres = state.databaseUrl !== undefined;
  // Nobody is in front of most tests' servers: none need wait for a proxy to notice.
  const given: Record<string, unknown> = { shutdown: { grace: "0s" }, ...options.config };
  // `npm test -- --by-adapter`.
  if (process.env.TEST_BY_ADAPTER === "1" && options.command === undefined) given.direct_calls ??= false;
  if (isPostgres) given.authentication = withSessionKeys(given.authentication);
  const configFile = join(state.dataDir, `config-${port}.yaml`);
  writeFileSync(configFile, stringify(given), { mode: 0o600 });
  return {
    ...ownEnvironment(),
    VESTIBULE_CONFIG: configFile,
    VESTIBULE_LISTEN: `127.0.0.1:${port}`,
    VESTIBULE_DATA_DIR: state.dataDir,
    VESTIBULE_BOOTSTRAP_CLIENT_ID: state.clientId,
    VESTIBULE_BOOTSTRAP_CLIENT_SECRET: state.clientSecret,
    ...(isPostgres && {
      VESTIBULE_DATABASE_URL: state.databaseUrl,
      VESTIBULE_ENCRYPTION_KEY: sharedKeys.encryptionKey,
    }),
  };
}

function withSessionKeys(authentication: unknown): object {
  const given = (authentication ?? {}) as { session?: object };
  return { ...given, session: { ...sharedKeys.session, ...given.session } };
}

/** This process's environment without what would steer the server or the runner. */
function ownEnvironment(): Record<string, string> {
  const kept = Object.entries(process.env).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined && !/^(VESTIBULE_|OTEL_|VITEST|NODE_OPTIONS$|NODE_ENV$|NODE_V8_)/.test(entry[0]),
  );
  return Object.fromEntries(kept);
}

interface Running {
  readonly child: ChildProcess;
  /** Resolves with the exit code, null after a signal, once all output is in. */
  readonly ended: Promise<number | null>;
  stdout(): string;
  stderr(): string;
}

function runCommand(
  args: readonly string[],
  env: Record<string, string>,
  options: Pick<ServerOptions, "command" | "prefix"> & { output?: number | "pipe" },
): Running {
  const { command = builtCommand, output = "pipe", prefix = [] } = options;
  const [program = "", ...rest] = [...prefix, process.execPath, command, ...args];
  const child = spawn(program, rest, {
    env,
    cwd: tmpdir(),
    stdio: ["ignore", output, output],
  });
  children.add(child);
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  const ended = once(child, "close").then(([code]) => {
    children.delete(child);
    return code as number | null;
  });
  return { child, ended, stdout, stderr };
}

function collect(stream: NodeJS.ReadableStream | null): () => string {
  const chunks: Buffer[] = [];
  stream?.on("data", (chunk: Buffer) => chunks.push(chunk));
  return () => Buffer.concat(chunks).toString("utf8");
}

function toTestServer(running: Running, state: ServerState, port: number, tls: boolean): TestServer {
  const { child, ended } = running;
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  return {
    url: `${tls ? "https" : "http"}://127.0.0.1:${port}`,
    port,
    clientId: state.clientId,
    clientSecret: state.clientSecret,
    state,
    pid: child.pid ?? 0,
    stdout: running.stdout,
    stderr: running.stderr,
    ended,
    async stop() {
      child.kill("SIGTERM");
      const inTime = await Promise.race([
        ended.then(() => true),
        sleep(stopTimeoutMs, false, { ref: false }),
      ]);
      if (inTime) return await ended;
      await kill();
      throw new Error(`the server did not stop within ${stopTimeoutMs} ms:\n${printed(running)}`);
    },
    kill,
    async [Symbol.asyncDispose]() {
      await kill();
      await state.remove();
    },
  };
}

async function untilServing(server: TestServer, running: Running): Promise<void> {
  let exitCode: number | null | undefined;
  void running.ended.then((code) => {
    exitCode = code;
  });
  const deadline = performance.now() + startTimeoutMs;
  while (!(await isServing(server.url))) {
    if (exitCode !== undefined) throw new Error(`the server ended with ${exitCode}:\n${printed(running)}`);
    if (performance.now() > deadline) {
      throw new Error(`the server does not serve after ${startTimeoutMs} ms:\n${printed(running)}`);
    }
    await sleep(20);
  }
}

function isServing(url: string): Promise<boolean> {
  const request = url.startsWith("https:") ? requestTls : requestPlain;
  return new Promise((resolve) => {
    // A test's certificate is its own; this asks only whether someone is there.
    const asked = request(
      `${url}/healthz`,
      { rejectUnauthorized: false, agent: false, timeout: 1_000 },
      (answer) => {
        answer.resume();
        resolve(answer.statusCode === 200);
      },
    );
    asked.on("timeout", () => asked.destroy(new Error("no answer")));
    asked.on("error", () => resolve(false));
    asked.end();
  });
}

function isTls(options: ServerOptions): boolean {
  return options.env?.VESTIBULE_TLS_CERT !== undefined || options.config?.tls !== undefined;
}

function printed(running: Running): string {
  return `${running.stdout()}${running.stderr()}`;
}

/** A port nobody listens on. Another process may still take it first: the server then refuses to start. */
export async function findFreePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, "close");
  return port;
}
