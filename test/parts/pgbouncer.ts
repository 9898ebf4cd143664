/** pgbouncer in front of a test's Postgres, handing out its sessions by transaction. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unpackPackages } from "./debian.ts";
import { eventually } from "./eventually.ts";
import { findFreePort } from "./server.ts";

export interface Pooler {
  /** Address of the database through the pooler. */
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * Starts one with its own defaults, but for few sessions that all share.
 *
 * @param url of the database behind it.
 */
export async function startPgbouncer(url: string, poolSize: number): Promise<Pooler> {
  const { root, env } = await unpackPackages("pgbouncer", ["pgbouncer"]);
  const folder = mkdtempSync(join(tmpdir(), "vestibule-pgbouncer-"));
  chmodSync(folder, 0o755);
  const behind = new URL(url);
  const port = await findFreePort();
  const users = join(folder, "users.txt");
  const user = decodeURIComponent(behind.username);
  writeFileSync(users, `"${user}" "${decodeURIComponent(behind.password)}"\n`);
  const settings = join(folder, "pgbouncer.ini");
  writeFileSync(
    settings,
    `[databases]
* = host=${behind.hostname} port=${behind.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${users}
pool_mode = transaction
default_pool_size = ${poolSize}
`,
  );
  // It refuses to be root.
  const identity = process.getuid?.() === 0 ? ["-u", "nobody"] : [];
  const child = spawn(join(root, "usr/sbin/pgbouncer"), [...identity, settings], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let printed = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    printed += text;
  });
  const exited = once(child, "exit");
  const stop = async () => {
    child.kill("SIGKILL");
    await exited;
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await eventually(async () => {
      if (child.exitCode !== null) throw new Error(`pgbouncer ended:\n${printed}`);
      const socket = connect(port, "127.0.0.1");
      await once(socket, "connect");
      socket.destroy();
    });
  } catch (error) {
    await stop();
    throw error;
  }
  behind.hostname = "127.0.0.1";
  behind.port = String(port);
  return { url: behind.href, stop };
}
