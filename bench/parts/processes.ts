/** Processes under measurement: pinned to a core each, so that they do not measure each other. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Window } from "./http1-load.ts";
import type { Latencies } from "./latency-load.ts";
import type { LoadCommand } from "./load-process.ts";

const canPin = spawnSync("taskset", ["-c", "0", "true"]).status === 0;

/** Starts a Node program on one core; without `taskset` it runs wherever the system puts it. */
export function spawnPinned(
  core: number,
  args: readonly string[],
  options: {
    readonly env?: Readonly<Record<string, string>>;
    readonly ipc?: boolean;
    /** Its output goes nowhere, instead of through this process, which would take part of a core. */
    readonly quiet?: boolean;
  } = {},
): ChildProcess {
  const [program = process.execPath, ...rest] = [...pinnedTo(core), process.execPath];
  return spawn(program, [...rest, ...args], {
    env: { ...process.env, NODE_ENV: "production", ...options.env },
    stdio: ["ignore", options.quiet ? "ignore" : "pipe", "inherit", ...(options.ipc ? ["ipc" as const] : [])],
  });
}

/** What a command begins with that is to stay on one core; nothing without `taskset`. */
export function pinnedTo(core: number): readonly string[] {
  return canPin ? ["taskset", "-c", String(core)] : [];
}

/** Whether processes really have a core each here. */
export const isPinned = canPin;

/** Resident memory of a process, in MiB. */
export function residentMib(pid: number): number {
  const kib = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kib) / 1024;
}

/** The load generator, on the second core. */
export class LoadProcess {
  readonly #child = spawnPinned(1, [fileURLToPath(new URL("./load-process.ts", import.meta.url))], {
    ipc: true,
  });
  /** Rejects when the generator fails: it has said why. */
  readonly #ended = once(this.#child, "exit").then(() => {
    throw new Error("the load generator ended");
  });

  constructor() {
    this.#ended.catch(() => {});
  }

  async prepare(command: Exclude<LoadCommand, { kind: "run" | "sample" | "close" }>): Promise<void> {
    await this.#ask(command);
  }

  async run(name: string, seconds: number): Promise<Window> {
    return (await this.#ask({ kind: "run", name, seconds })) as Window;
  }

  /** Times one request after another. */
  async sample(name: string, seconds: number): Promise<Latencies> {
    return (await this.#ask({ kind: "sample", name, seconds })) as Latencies;
  }

  /** Ends the connections of a load. */
  async closeLoad(name: string): Promise<void> {
    await this.#ask({ kind: "close", name });
  }

  close(): void {
    this.#child.kill();
  }

  async #ask(command: LoadCommand): Promise<unknown> {
    const answer = once(this.#child, "message");
    this.#child.send(command);
    return (await Promise.race([answer, this.#ended]))[0];
  }
}
