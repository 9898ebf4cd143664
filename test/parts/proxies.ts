/**
 * Real nginx, HAProxy and Caddy: from `NGINX_PATH`, `HAPROXY_PATH`,
 * `CADDY_PATH` or PATH, else on Debian out of its packages, unpacked into the
 * user's cache, for which nobody needs to be root.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { unpackPackages } from "./debian.ts";

const startTimeoutMs = 30_000;

/** The proxies there are. */
export const proxyNames = ["nginx", "haproxy", "caddy"] as const;
export type ProxyName = (typeof proxyNames)[number];

/** A proxy that takes connections. */
export interface TestProxy {
  readonly url: string;
  /** All it has printed. */
  printed(): string;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A program and what it needs to run. */
interface Program {
  readonly path: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Around what a page of the documentation says of one server: what every installation has. */
const frames: Readonly<Record<ProxyName, (config: string, folder: string) => string>> = {
  nginx: (config, folder) => `
daemon off;
${process.getuid?.() === 0 ? "user root;" : ""}
pid ${folder}/pid;
error_log stderr warn;
worker_processes 1;
events { worker_connections 1024; }
http {
  access_log off;
  ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${folder}/${kind};`).join("\n  ")}
${config}
}
`,
  haproxy: (config) => `global\n    maxconn 2000\n    nbthread 1\n\n${config}`,
  caddy: (config, folder) =>
    `{\n  admin off\n  auto_https off\n  storage file_system ${folder}\n}\n\n${config}`,
};

const argumentsOf: Readonly<Record<ProxyName, (file: string, folder: string) => string[]>> = {
  nginx: (file, folder) => ["-e", "stderr", "-p", folder, "-c", file],
  haproxy: (file) => ["-db", "-f", file],
  caddy: (file) => ["run", "--adapter", "caddyfile", "--config", file],
};

const children = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of children) kill(child);
});

/** Ends it with the workers that it has started. */
function kill({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

/**
 * Starts a proxy and resolves once it takes connections.
 *
 * @param config nginx: what stands in `http`; HAProxy: all but `global`; Caddy: all but the global options.
 * @param port the one that `config` listens on, at 127.0.0.1.
 * @param files what `config` reads from `/etc/<proxy>/`, by name.
 * @param prefix a command that runs what follows it, such as `taskset -c 0`.
 * @throws Error with all it printed when it does not start.
 */
export async function startProxy(
  name: ProxyName,
  config: string,
  port: number,
  files: Readonly<Record<string, string>> = {},
  prefix: readonly string[] = [],
): Promise<TestProxy> {
  const { path, env } = await findProxy(name);
  const folder = mkdtempSync(join(tmpdir(), `vestibule-${name}-`));
  const file = join(folder, "config");
  for (const [each, text] of Object.entries(files)) {
    mkdirSync(join(folder, each, ".."), { recursive: true });
    writeFileSync(join(folder, each), text);
  }
  writeFileSync(file, frames[name](config, folder).replaceAll(`/etc/${name}/`, `${folder}/`));
  const [program = path, ...args] = [...prefix, path, ...argumentsOf[name](file, folder)];
  const child = spawn(program, args, {
    env: { ...process.env, HOME: folder, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  children.add(child);
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (printed += chunk));
  const ended = once(child, "close");
  const stop = async () => {
    kill(child);
    await ended;
    children.delete(child);
    rmSync(folder, { recursive: true, force: true });
  };
  const deadline = performance.now() + startTimeoutMs;
  while (!(await takesConnections(port))) {
    if (child.exitCode === null && performance.now() < deadline) await sleep(20);
    else {
      await stop();
      throw new Error(`${name} does not take connections:\n${printed}`);
    }
  }
  return { url: `http://127.0.0.1:${port}`, printed: () => printed, [Symbol.asyncDispose]: stop };
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => resolve(true) === undefined && socket.destroy());
    socket.on("error", () => resolve(false));
  });
}

/**
 * Finds the program of a proxy, or fetches it.
 *
 * @throws Error of one line that names the packages to install.
 */
async function findProxy(name: ProxyName): Promise<Program> {
  const variable = `${name.toUpperCase()}_PATH`;
  const given = process.env[variable];
  if (given) return { path: given, env: {} };
  // Daemons are often where only root looks.
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];
  const found = folders.map((folder) => join(folder, name)).find(isExecutable);
  if (found !== undefined) return { path: found, env: {} };
  try {
    return await unpack(name);
  } catch (error) {
    const [why = ""] = String(error).split("\n", 1);
    throw new Error(
      `No ${name} for the tests: install the package ${name}, or set ${variable} to the program (${why})`,
    );
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

async function unpack(name: ProxyName): Promise<Program> {
  const { root, env } = await unpackPackages(name, [name]);
  const path = ["usr/sbin", "usr/bin"].map((place) => join(root, place, name)).find(isExecutable);
  if (path === undefined) throw new Error(`the package has no program of that name`);
  return { path, env };
}
