/** The commands of a page, run as a reader would run them. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const root = join(import.meta.dirname, "../..");

/** The code blocks of a page in one language, in order. */
export function readBlocks(page: string, language: string): string[] {
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
  const env = {
    ...process.env,
    CLIENT_ID: server.clientId,
    CLIENT_SECRET: server.clientSecret,
    ...variables,
  };
  const script = block.replaceAll("http://localhost:7400", server.url);
  const { stdout } = await run("bash", ["-euo", "pipefail", "-c", script], { env, cwd: root });
  return stdout;
}
