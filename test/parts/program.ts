/** Other programs, run to their end. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";

/** How a program ended and what it said. */
export interface Ran {
  /** Null after a signal, 127 when there is no such program. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProgramOptions {
  readonly cwd?: string;
  /** Besides this process's own. */
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Ends the program, and all it started, when aborted. */
  readonly signal?: AbortSignal;
}

// What still runs when this process ends goes with it.
const running = new Set<() => void>();
process.once("exit", () => {
  for (const end of running) end();
});

/** Runs a program to its end. Never throws for how that was: its code says it. */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<Ran> {
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    // A process group of its own, so that what it starts ends with it.
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
  });
  const end = () => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGKILL");
  };
  options.signal?.addEventListener("abort", end);
  running.add(end);
  child.stdin.on("error", () => {});
  child.stdin.end(options.input);
  const closed = once(child, "close").then(
    ([code]) => code as number | null,
    (error: Error) => error,
  );
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
  options.signal?.removeEventListener("abort", end);
  running.delete(end);
  return code instanceof Error ? { code: 127, stdout, stderr: code.message } : { code, stdout, stderr };
}
