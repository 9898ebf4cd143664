/**
 * Tools of other languages, each installed by its language's own client into a
 * cache outside the clone, by exact version: a second run finds them there.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { MissingTool } from "./part.ts";
import { type Ran, runProgram } from "./program.ts";

/** Languages whose compilers or interpreters the machine brings, or does not. */
export type Toolchain = "go" | "python" | "java";

const probes: Readonly<Record<Toolchain, readonly (readonly [string, ...string[]])[]>> = {
  go: [["go", "version"]],
  python: [
    ["python3", "--version"],
    ["python3", "-m", "venv", "--help"],
  ],
  java: [
    ["javac", "-version"],
    ["mvn", "--version"],
  ],
};

/** Go's own default, which a machine may have changed: a module that asks for a newer Go gets it. */
const goEnvironment = { GOTOOLCHAIN: "auto", GOFLAGS: "-buildvcs=false" };

/** Why a toolchain cannot be used, in one line; undefined when it can. */
export async function findMissingToolchain(toolchain: Toolchain): Promise<string | undefined> {
  for (const [program, ...args] of probes[toolchain]) {
    const { code, stderr } = await runProgram(program, args);
    if (code !== 0) return `${[program, ...args].join(" ")}: ${lastLine(stderr)}`;
  }
  return undefined;
}

/**
 * The path of a Go program, installed as `go install` does.
 *
 * @param target package and exact version, as in `example.com/cmd/tool@v1.2.3`.
 * @throws MissingTool with Go's answer.
 */
export async function installGoTool(target: string): Promise<string> {
  const [path = ""] = target.split("@");
  const folder = await cached("go", target, async (fresh) => {
    await install("go", ["install", target], { ...goEnvironment, GOBIN: fresh });
  });
  // The last element of the path that is not a major version, as Go names it.
  const name = path.split("/").findLast((element) => !/^v\d+$/.test(element)) ?? "";
  return join(folder, name);
}

/**
 * The folder of a Go module as it was published, for what it has beside its programs; Go's own cache keeps it.
 *
 * @param target module and exact version; Go holds it to its checksum database.
 * @throws MissingTool with Go's answer.
 */
export async function findGoModule(target: string): Promise<string> {
  const { stdout } = await install("go", ["mod", "download", "-json", target], goEnvironment);
  return (JSON.parse(stdout) as { Dir: string }).Dir;
}

/**
 * The path of a program built from a Go module of this repository, whose
 * `go.mod` and `go.sum` pin what it stands on.
 *
 * @param folder of the module, its main package in it.
 * @param packagePath of another main package that it requires, to build that one.
 * @throws MissingTool with Go's answer when a module is not served; Error when it does not compile.
 */
export async function buildGoModule(folder: string, output: string, packagePath = "."): Promise<string> {
  await install("go", ["mod", "download"], goEnvironment, folder);
  const built = await runProgram("go", ["build", "-mod=readonly", "-o", output, packagePath], {
    env: goEnvironment,
    cwd: folder,
  });
  if (built.code !== 0) throw new Error(`go build in ${folder}:\n${built.stderr}`);
  return output;
}

/**
 * The interpreter of a virtual environment with these requirements.
 *
 * @param requirementsFile every package with its exact version, those that others bring included.
 *   Run them as modules (`-m`): scripts of the environment do not know where it lies.
 * @throws MissingTool with pip's answer.
 */
export async function installPython(requirementsFile: string): Promise<string> {
  const version = (await runProgram("python3", ["--version"])).stdout.trim();
  const key = `${version}\n${readFileSync(requirementsFile, "utf8")}`;
  const folder = await cached("python", key, async (fresh) => {
    await install("python3", ["-m", "venv", fresh]);
    const python = join(fresh, "bin/python");
    await install(python, [
      "-m",
      "pip",
      "install",
      "--no-deps",
      "--quiet",
      "--requirement",
      requirementsFile,
    ]);
  });
  return join(folder, "bin/python");
}

/**
 * The path of a jar from Maven's central repository.
 *
 * @param artifact `group:artifact:version`; what it depends on is not brought along.
 * @throws MissingTool with Maven's answer.
 */
export async function installJar(artifact: string): Promise<string> {
  const [, name, version] = artifact.split(":");
  const plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy";
  const folder = await cached("java", artifact, async (fresh) => {
    const args = [plugin, `-Dartifact=${artifact}`, `-DoutputDirectory=${fresh}`];
    await install("mvn", ["--batch-mode", "--quiet", ...args], {}, fresh);
  });
  return join(folder, `${name}-${version}.jar`);
}

/** Where tools are kept: `VESTIBULE_OUTSIDE_CACHE`, or a folder of the user's cache. */
function cacheFolder(): string {
  const caches = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  return process.env.VESTIBULE_OUTSIDE_CACHE || join(caches, "vestibule-outside");
}

/**
 * A folder of the cache, filled when it is not there. It appears under its name
 * only when it is whole, so an interrupted or a concurrent run leaves no half of one.
 */
async function cached(kind: string, key: string, fill: (fresh: string) => Promise<void>): Promise<string> {
  const folder = join(cacheFolder(), kind, createHash("sha256").update(key).digest("hex").slice(0, 16));
  if (existsSync(folder)) return folder;
  mkdirSync(join(folder, ".."), { recursive: true });
  const fresh = mkdtempSync(`${folder}.`);
  try {
    await fill(fresh);
    if (!existsSync(folder)) renameSync(fresh, folder);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return folder;
}

/** Runs a language's client and says so: on a first run this is where the time goes. */
async function install(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  cwd?: string,
): Promise<Ran> {
  const startedAt = performance.now();
  const ran = await runProgram(program, args, { env, ...(cwd !== undefined && { cwd }) });
  const seconds = (performance.now() - startedAt) / 1000;
  if (ran.code !== 0) throw new MissingTool(`${program}: ${clientAnswer(ran)}`);
  if (seconds >= 1) console.log(`installed ${[program, ...args].join(" ")} (${seconds.toFixed(1)} s)`);
  return ran;
}

/** The line in which a client says what it could not get: marked as an error, or its last. */
function clientAnswer({ stdout, stderr }: Ran): string {
  const lines = `${stdout}\n${stderr}`.split("\n").map((line) => line.trim());
  return lines.findLast((line) => /^\[?error\b/i.test(line)) ?? lastLine(`${stdout}\n${stderr}`);
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) ?? "";
}
