/**
 * `npm run outside` and `npm run soak`: the parts of a folder, a file each, one
 * after the other, each with a line of its own.
 *
 * `--help` says what arguments there are, and of each part what it needs and
 * whether that is here. A failed case always fails the run.
 */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { MissingTool, type Part, type PartContext } from "../test/parts/part.ts";
import { stopOwnPostgres } from "../test/parts/postgres.ts";
import { findMissingToolchain } from "../test/parts/toolchains.ts";
import { buildIfStale } from "./build.ts";

const [folder = "", ...args] = process.argv.slice(2);
const { asked, quick, all, help } = readArguments();
/** When a part is ended that names no limit of its own. */
const usualLimitMinutes = 15;

type Verdict = "passed" | "failed" | "missing" | "left out";

/** How a part ended. */
interface Outcome {
  readonly verdict: Verdict;
  /** For its line: counts and figures, or what is missing. */
  readonly summary: string;
  readonly failures?: readonly string[];
}

function readArguments() {
  const flag = { type: "boolean", default: false } as const;
  try {
    const options = { quick: flag, all: flag, help: { ...flag, short: "h" } } as const;
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
    return { asked: positionals, ...values };
  } catch (error) {
    // What follows the first sentence is about options that begin with a dash.
    const [what] = describe(error).split(". ");
    console.error(`${what}; try --help`);
    process.exit(1);
  }
}

async function loadPart(name: string): Promise<Part> {
  return ((await import(pathToFileURL(join(folder, `${name}.ts`)).href)) as { default: Part }).default;
}

/** Prints the arguments there are, and of each part what it needs, takes and lacks. */
async function printHelp(): Promise<void> {
  console.log(`npm run ${basename(folder)} -- [--quick] [--all] [part …]

Runs parts one after the other, all of them if none is named. ${folder}/<part>.ts says what
each does. What it needs beside these languages is installed at its first run.

  --quick  only what takes minutes
  --all    fail where something is missing

Parts:`);
  for (const name of names) {
    const { needs, quick: isQuick, limitMinutes = usualLimitMinutes } = await loadPart(name);
    const facts = [`at most ${limitMinutes} minutes`];
    if (isQuick === false) facts.push("left out by --quick");
    for (const toolchain of needs) {
      const missing = await findMissingToolchain(toolchain);
      facts.push(missing === undefined ? `needs ${toolchain}` : `needs ${toolchain}, which is missing`);
    }
    console.log(`  ${name.padEnd(18)} ${facts.join(", ")}`);
  }
}

async function runPart(name: string): Promise<Outcome> {
  const part = await loadPart(name);
  if (quick && part.quick === false) return { verdict: "left out", summary: "takes longer than --quick" };
  for (const toolchain of part.needs) {
    const missing = await findMissingToolchain(toolchain);
    if (missing !== undefined) return { verdict: "missing", summary: `needs ${toolchain}: ${missing}` };
  }
  return await runCases(name, part);
}

async function runCases(name: string, part: Part): Promise<Outcome> {
  const scratch = mkdtempSync(join(tmpdir(), `vestibule-${name}-`));
  const { limitMinutes = usualLimitMinutes } = part;
  const timeUp = new AbortController();
  const timer = setTimeout(() => timeUp.abort(), limitMinutes * 60_000);
  const failures: string[] = [];
  let passed = 0;
  const context: PartContext = {
    quick,
    scratch,
    signal: timeUp.signal,
    async check(caseName, run) {
      try {
        await run();
        passed += 1;
      } catch (error) {
        failures.push(`${caseName}: ${describe(error)}`);
      }
    },
    count(more, failed = []) {
      passed += more;
      failures.push(...failed);
    },
  };
  try {
    const figures = await Promise.race([part.run(context), whenAborted(timeUp.signal, limitMinutes)]);
    if (passed + failures.length === 0) failures.push("it ran no case");
    return toOutcome(passed, failures, figures);
  } catch (error) {
    if (error instanceof MissingTool && failures.length === 0) {
      return { verdict: "missing", summary: error.message };
    }
    return toOutcome(passed, [...failures, describe(error)], undefined);
  } finally {
    clearTimeout(timer);
    rmSync(scratch, { recursive: true, force: true });
  }
}

function whenAborted(signal: AbortSignal, limitMinutes: number): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () =>
      reject(new Error(`it did not end within ${limitMinutes} minutes`)),
    );
  });
}

function toOutcome(passed: number, failures: readonly string[], figures: string | undefined): Outcome {
  const counts = `${passed} passed, ${failures.length} failed`;
  return {
    verdict: failures.length === 0 ? "passed" : "failed",
    summary: figures === undefined ? counts : `${counts}; ${figures}`,
    failures,
  };
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const names = readdirSync(resolve(folder))
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.slice(0, -".ts".length))
  .sort();
const unknown = asked.find((name) => !names.includes(name));
if (unknown !== undefined) {
  console.error(`there is no part ${unknown} in ${folder}; there are ${names.join(", ")}`);
  process.exit(1);
}
if (help) {
  await printHelp();
  process.exit(0);
}

await buildIfStale();
const startedAt = performance.now();
const seconds = (since: number) => `${((performance.now() - since) / 1000).toFixed(1)} s`;
const totals: Record<Verdict, number> = { passed: 0, failed: 0, missing: 0, "left out": 0 };
for (const name of asked.length > 0 ? asked : names) {
  const partStartedAt = performance.now();
  // Its outcome takes the line's place.
  if (process.stdout.isTTY) process.stdout.write(`running  ${name}\r`);
  const {
    verdict,
    summary,
    failures = [],
  } = await runPart(name).catch(
    (error: unknown): Outcome => ({ verdict: "failed", summary: describe(error) }),
  );
  totals[verdict] += 1;
  console.log(`${verdict.padEnd(8)} ${name}: ${summary} (${seconds(partStartedAt)})`);
  for (const failure of failures) console.log(failure.trimEnd().replace(/^/gm, "         "));
}
await stopOwnPostgres();
const counts = Object.entries(totals).map(([verdict, count]) => `${count} ${verdict}`);
console.log(`parts: ${counts.join(", ")} (${seconds(startedAt)})`);
// What a part that was ended left open keeps nobody waiting.
process.exit(totals.failed > 0 || (all && totals.missing > 0) ? 1 : 0);
