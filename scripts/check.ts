/**
 * `npm run check`: everything that can be said about the tree without running
 * it, the same here and in CI. All steps run; a failed one shows its output.
 */
import { spawn } from "node:child_process";
import { lstatSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { findLockfileProblems } from "./lockfile.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** A step passes by resolving; what it rejects with is shown. */
interface Step {
  readonly name: string;
  readonly run: (scratch: string) => Promise<unknown>;
}

const steps: readonly Step[] = [
  { name: "format and lint", run: () => command("biome", "ci", "--colors=off", ".") },
  { name: "types", run: () => command("tsc", "-p", ".") },
  { name: "types for browsers", run: () => command("tsc", "-p", "clients/web") },
  { name: "unused", run: () => command("knip", "--no-progress", "--treat-config-hints-as-errors") },
  { name: "buf lint", run: () => command("buf", "lint") },
  { name: "buf format", run: () => command("buf", "format", "--diff", "--exit-code") },
  { name: "buf breaking", run: compareWithImage },
  { name: "generated code", run: regenerateAndCompare },
  { name: "lockfile", run: async () => failWith(findLockfileProblems()) },
  { name: "names", run: async () => failWith(await findForeignNames()) },
];

/**
 * Compares the schemas with the committed image of those last published. To
 * publish a change that breaks on purpose: `npm run image`, and a line in the
 * changelog.
 */
async function compareWithImage(scratch: string): Promise<void> {
  const current = join(scratch, "current.binpb");
  await command("buf", "build", "-o", current);
  await command("buf", "breaking", current, "--against", "proto/image.binpb", "--config", "buf.yaml");
}

async function regenerateAndCompare(scratch: string): Promise<void> {
  await command("buf", "generate", "-o", scratch);
  await command("diff", "-r", "-u", "gen/src", join(scratch, "gen/src")).catch((error: Error) => {
    throw new Error(`gen/ is not what the schemas generate (npm run generate):\n${error.message}`);
  });
}

/** Names of machines and mirrors in files that others will read, as `path:line: why`. */
async function findForeignNames(): Promise<string[]> {
  const listed = await command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard");
  const paths = listed.split("\0").filter((path) => path !== "" && isPlainFile(path));
  return [...new Set(paths)].flatMap((path) => foreignNamesIn(path));
}

function isPlainFile(path: string): boolean {
  return lstatSync(join(root, path), { throwIfNoEntry: false })?.isFile() ?? false;
}

// Put together here, or this file would be the first one found.
const foreignNames: readonly (readonly [string, RegExp])[] = [
  [
    "names a package registry's host",
    /\b(registry\.(npmjs|yarnpkg)|npm\.pkg\.github|deb\.debian)\.(org|com)\b/i,
  ],
  ["names a path of one machine", new RegExp(`(?<![\\w.~-])(${machinePaths().join("|")})/`)],
];

function machinePaths(): string[] {
  const places = ["root", "work", "Users", "home/[a-z][\\w-]*"].map((place) => `/${place}`);
  return [...places, ...[root.replace(/\/$/, ""), homedir()].map((path) => path.replace(/[^\w/]/g, "\\$&"))];
}

function foreignNamesIn(path: string): string[] {
  const text = readFileSync(join(root, path), "latin1");
  if (text.includes("\0")) return [];
  return text
    .split("\n")
    .flatMap((line, index) =>
      foreignNames.filter(([, pattern]) => pattern.test(line)).map(([why]) => `${path}:${index + 1}: ${why}`),
    );
}

function failWith(problems: readonly string[]): void {
  if (problems.length > 0) throw new Error(problems.join("\n"));
}

/** Runs a program of this repository or of the system. Resolves with what it printed, rejects with that on failure. */
function command(name: string, ...args: readonly string[]): Promise<string> {
  const PATH = [join(root, "node_modules/.bin"), process.env.PATH].join(delimiter);
  return new Promise((resolve, reject) => {
    const child = spawn(name, args, {
      cwd: root,
      env: { ...process.env, PATH },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const printed: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => printed.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => printed.push(chunk));
    child.on("error", reject);
    child.on("close", (code) => {
      const text = Buffer.concat(printed).toString("utf8");
      if (code === 0) resolve(text);
      else reject(new Error(text.trim() || `${name} ended with ${code}`));
    });
  });
}

/** Runs one step and prints its line. Resolves with whether it passed. */
async function runStep(step: Step): Promise<boolean> {
  const scratch = mkdtempSync(join(tmpdir(), "vestibule-check-"));
  const startedAt = performance.now();
  const outcome = await step.run(scratch).then(
    () => undefined,
    (error: Error) => error,
  );
  rmSync(scratch, { recursive: true, force: true });
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  console.log(`${outcome === undefined ? "ok    " : "FAILED"} ${step.name} (${seconds} s)`);
  if (outcome !== undefined) console.log(outcome.message.replace(/^/gm, "       "));
  return outcome === undefined;
}

let allPassed = true;
for (const step of steps) allPassed = (await runStep(step)) && allPassed;
process.exitCode = allPassed ? 0 : 1;
