/** The commands of a page, run as a reader would run them. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const root = join(import.meta.dirname, "../..");

/** The code blocks of a page in one language, or in any, in order. */
export function readBlocks(page: string, language = "\\w*"): string[] {
  const text = readFileSync(join(root, page), "utf8");
  const blocks = text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"));
  return [...blocks].map(([, block]) => block ?? "");
}

/**
 * Runs a block of shell commands against a server that is not where the page
 * says, and answers what it printed.
 *
 * @throws Error when a command fails or is not installed.
 */
export async function runShell(
  block: string,
  server: { readonly url: string; readonly clientId: string; readonly clientSecret: string },
  variables: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { script, env } = prepare(block, server, variables);
  const { stdout } = await run("bash", ["-euo", "pipefail", "-c", script], { env, cwd: root });
  return stdout;
}

type Place = Parameters<typeof runShell>[1];
type Variables = Parameters<typeof runShell>[2];

function prepare(block: string, server: Place, variables: Variables) {
  const env = {
    ...process.env,
    CLIENT_ID: server.clientId,
    CLIENT_SECRET: server.clientSecret,
    ...variables,
  };
  const script = block
    .replaceAll("http://localhost:7400", server.url)
    .replaceAll("localhost:7400", new URL(server.url).host);
  return { script, env };
}

/** Commands that go on until somebody ends them. */
export interface Followed {
  /** Everything printed so far. */
  printed(): string;
  /** Ends them, and all they started. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts a block of shell commands that do not end by themselves, as {@link runShell} would run it. */
export function followShell(block: string, server: Place, variables: Variables = {}): Followed {
  const { script, env } = prepare(block, server, variables);
  // A process group of its own, so that what the shell starts ends with it.
  const child = spawn("bash", ["-euo", "pipefail", "-c", script], {
    env,
    cwd: root,
    detached: true,
    stdio: ["ignore", "pipe", "ignore"],
  });
  const closed = once(child, "close");
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    printed += text;
  });
  return {
    printed: () => printed,
    async [Symbol.asyncDispose]() {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid);
      await closed;
    },
  };
}

/** Every page of `docs/`, as a path from the root. */
export function listPages(): string[] {
  const names = readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" });
  return names.filter((name) => name.endsWith(".md")).map((name) => `docs/${name}`);
}
