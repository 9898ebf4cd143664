/**
 * Real nginx, HAProxy and Caddy: from `NGINX_PATH`, `HAPROXY_PATH`,
 * `CADDY_PATH` or PATH, else on Debian out of its packages, unpacked into the
 * user's cache, for which nobody needs to be root.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
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
 * @throws Error with all it printed when it does not start.
 */
export async function startProxy(
  name: ProxyName,
  config: string,
  port: number,
  files: Readonly<Record<string, string>> = {},
): Promise<TestProxy> {
  const { path, env } = await findProxy(name);
  const folder = mkdtempSync(join(tmpdir(), `vestibule-${name}-`));
  const file = join(folder, "config");
  for (const [each, text] of Object.entries(files)) {
    mkdirSync(join(folder, each, ".."), { recursive: true });
    writeFileSync(join(folder, each), text);
  }
  writeFileSync(file, frames[name](config, folder).replaceAll(`/etc/${name}/`, `${folder}/`));
  const child = spawn(path, argumentsOf[name](file, folder), {
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

/** What is there wherever apt is, and must not be had twice. */
const base = /^lib(c6|c-bin|gcc-s1|stdc\+\+6|crypt1)$/;

async function unpack(name: ProxyName): Promise<Program> {
  const caches = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "vestibule-proxies");
  const folder = findRecent(caches, name) ?? (await fetchPackages(caches, name));
  const root = join(folder, "root");
  const path = ["usr/sbin", "usr/bin"].map((place) => join(root, place, name)).find(isExecutable);
  if (path === undefined) throw new Error(`the package has no program of that name`);
  const libraries = ["usr/lib", "lib"].flatMap((place) => listArchitectures(join(root, place)));
  return { path, env: { LD_LIBRARY_PATH: libraries.join(delimiter) } };
}

/** What apt had within a day: asking it again takes seconds. */
function findRecent(caches: string, name: ProxyName): string | undefined {
  if (!existsSync(caches)) return undefined;
  const isOwn = new RegExp(`^${name}-[0-9a-f]{16}$`);
  const folders = readdirSync(caches)
    .filter((each) => isOwn.test(each))
    .map((each) => join(caches, each));
  return folders.find((folder) => Date.now() - statSync(folder).mtimeMs < 86_400_000);
}

async function fetchPackages(caches: string, name: ProxyName): Promise<string> {
  const packages = [name, ...(await listLibraries(name))];
  const { stdout: versions } = await run("apt-cache", ["policy", ...packages]);
  const key = createHash("sha256").update(versions).digest("hex").slice(0, 16);
  const folder = join(caches, `${name}-${key}`);
  if (existsSync(folder)) {
    utimesSync(folder, new Date(), new Date());
    return folder;
  }
  mkdirSync(caches, { recursive: true });
  // It has its name only once it is whole.
  const fresh = mkdtempSync(`${folder}.`);
  try {
    await run("apt-get", ["download", ...packages], { cwd: fresh });
    const files = readdirSync(fresh).filter((file) => file.endsWith(".deb"));
    for (const file of files) await run("dpkg", ["-x", file, "root"], { cwd: fresh });
    if (!existsSync(folder)) renameSync(fresh, folder);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return folder;
}

/** `/usr/lib/x86_64-linux-gnu` and the like. */
function listArchitectures(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.includes("-linux-"))
    .map((name) => join(folder, name));
}

/** The libraries that a package needs, and those that they need. */
async function listLibraries(name: string): Promise<string[]> {
  // One look for all: each takes apt a good part of a second.
  const { stdout } = await run("apt-cache", ["depends", "--recurse", "--important", name]);
  const needs = new Map<string, string[]>();
  let needed: string[] = [];
  for (const line of stdout.split("\n")) {
    const [, library] = /^ *\|?(?:Pre)?Depends: (lib\S+)$/.exec(line) ?? [];
    if (library !== undefined) needed.push(library);
    if (!/^\S/.test(line)) continue;
    needed = [];
    needs.set(line, needed);
  }
  const found = new Set<string>();
  const visit = (each: string) => {
    for (const library of needs.get(each) ?? []) {
      if (base.test(library) || found.has(library)) continue;
      found.add(library);
      visit(library);
    }
  };
  visit(name);
  return [...found];
}
