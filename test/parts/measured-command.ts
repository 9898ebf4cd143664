/** The built command in a process of its own: how long it takes, the most it holds, what it prints. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

const command = fileURLToPath(new URL("../../server/bin/vestibule.js", import.meta.url));

/** A run that ended well. */
export interface MeasuredRun {
  readonly seconds: number;
  /** The most it held. */
  readonly mib: number;
  readonly stdout: string;
}

/** Runs the command to its end. @throws Error when that is not a good one */
export async function runMeasured(
  args: readonly string[],
  env: Record<string, string>,
): Promise<MeasuredRun> {
  const beganAt = performance.now();
  const child = startCommand(args, env);
  const ended = once(child, "close");
  let mib = 0;
  const watching = setInterval(() => {
    mib = Math.max(mib, readPeakMib(child.pid ?? 0));
  }, 100);
  const [stdout, [code]] = await Promise.all([child.stdout ? text(child.stdout) : "", ended]);
  clearInterval(watching);
  assert.equal(code, 0, `${args.join(" ")} ended with ${code}`);
  return { seconds: (performance.now() - beganAt) / 1000, mib, stdout };
}

/** Starts the command with nothing but this environment. What it prints has to be read, or ends in a pipe that is full. */
export function startCommand(args: readonly string[], env: Record<string, string>): ChildProcess {
  const { PATH = "", HOME = "" } = process.env;
  return spawn(process.execPath, [command, ...args], {
    env: { PATH, HOME, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
}

function readPeakMib(pid: number): number {
  try {
    const peak = /^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
    // One that has ended and is not yet taken note of has none.
    return Number(peak?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}

/** `45 k/s`, in thousands. */
export function perSecond(rows: number, { seconds }: MeasuredRun): string {
  return `${(rows / seconds / 1000).toFixed(1)} k/s`;
}

/** The same keys everywhere; Postgres takes none from files. */
export const soakSettings = {
  encryption_key: Buffer.alloc(32, "soak").toString("base64url"),
  authentication: {
    session: {
      hash_secret_key: "hash-hash-hash-hash-hash-hash-32",
      block_secret_key: "block-block-block-block-block-32",
    },
  },
};
