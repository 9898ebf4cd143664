/**
 * What an engine would make of deploy/Dockerfile, made in folders: its steps are
 * read from the file and done one by one, with this machine in place of the
 * base and its root moved into a folder. Only what installs packages is not
 * run: those of the repository stand in.
 */
import { execFile } from "node:child_process";
import {
  chmodSync,
  chownSync,
  cpSync,
  globSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative, resolve } from "node:path";
import { promisify } from "node:util";
import { DockerfileParser, type JSONInstruction, Keyword, type ModifiableInstruction } from "dockerfile-ast";

const run = promisify(execFile);
const repository = join(import.meta.dirname, "../..");

/** One instruction of a Dockerfile. */
export interface Step {
  readonly keyword: string;
  readonly flags: Readonly<Record<string, string>>;
  /** Without flags; in the exec form, its strings. */
  readonly args: readonly string[];
  /** Whether it is in the exec form, for which no shell is needed. */
  readonly isExec: boolean;
  readonly text: string;
}

/** A stage: a base, and what is done to it. */
export interface Stage {
  readonly base: string;
  readonly name: string | undefined;
  readonly steps: readonly Step[];
}

/** Reads the stages of a Dockerfile. @throws Error at a word that no engine knows */
export function readStages(path: string): Stage[] {
  const stages: { base: string; name: string | undefined; steps: Step[] }[] = [];
  for (const instruction of DockerfileParser.parse(readFileSync(path, "utf8")).getInstructions()) {
    const keyword = instruction.getKeyword();
    if (!Object.hasOwn(Keyword, keyword)) throw new Error(`no instruction: ${instruction.toString()}`);
    const text = instruction.getArgumentsContent() ?? "";
    if (keyword === "FROM") {
      const [base = "", , name] = text.split(/\s+/);
      stages.push({ base, name, steps: [] });
      continue;
    }
    const given = (instruction as ModifiableInstruction).getFlags?.() ?? [];
    const flags = Object.fromEntries(given.map((flag) => [flag.getName(), flag.getValue() ?? ""]));
    const [, json] = /^(?:--\S+[\s\\]+)*(?:CMD\s+)?(\[.*\])$/s.exec(text) ?? [];
    const strings = (instruction as JSONInstruction).getJSONStrings?.() ?? [];
    const args =
      json === undefined ? instruction.getArguments().map((each) => each.getValue()) : JSON.parse(json);
    const isExec = json !== undefined || strings.length > 0;
    stages.at(-1)?.steps.push({ keyword, flags, args, isExec, text });
  }
  return stages;
}

/** Whether a file of the repository is sent to an engine, by .dockerignore: the last line counts that names it or a folder above it. */
export function isInContext(path: string): boolean {
  const lines = readFileSync(join(repository, ".dockerignore"), "utf8").split("\n");
  const patterns = lines.filter((line) => line !== "" && !line.startsWith("#"));
  const parents = path.split("/").map((_, index, parts) => parts.slice(0, index + 1).join("/"));
  const last = patterns.findLast((line) => parents.some((each) => toPattern(line).test(each)));
  return last === undefined || last.startsWith("!");
}

/** Unlike a shell's, their stars stand for names that begin with a dot as well. */
function toPattern(line: string): RegExp {
  const parts = line.replace(/^!/, "").split(/(\*\*\/|\*)/);
  const source = parts.map((part) =>
    part === "**/" ? "(.*/)?" : part === "*" ? "[^/]*" : part.replace(/[.\\+?^$()[\]{}|]/g, "\\$&"),
  );
  return new RegExp(`^${source.join("")}$`);
}

/** A made image: a folder in place of the root, and how its process is started. */
export interface MadeImage {
  readonly root: string;
  /** Of the image's user, where this process may become somebody else. */
  readonly owner: { readonly uid?: number; readonly gid?: number };
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** With every path in it moved into the folder. */
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly healthcheck: readonly string[];
  readonly volumes: readonly string[];
  [Symbol.dispose](): void;
}

const isRoot = process.getuid?.() === 0;

/** Makes the last of the stages, and those that it copies from. Nobody but its volumes' owner may write in it. */
export async function makeImage(stages: readonly Stage[]): Promise<MadeImage> {
  const folder = mkdtempSync(join(tmpdir(), "vestibule-image-"));
  chmodSync(folder, 0o755);
  const made = new Map<string, Build>();
  const dispose = () => {
    makeWritable(folder);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    let last: Build | undefined;
    for (const [index, stage] of stages.entries()) {
      last = new Build(join(folder, String(index)), made);
      for (const step of stage.steps) await last.take(step);
      if (stage.name !== undefined) made.set(stage.name, last);
    }
    if (last === undefined) throw new Error("a Dockerfile without a stage");
    return { ...last.finish(), [Symbol.dispose]: dispose };
  } catch (error) {
    dispose();
    throw error;
  }
}

/** Folders that their owner may not write in could not be removed by somebody who is not root. */
function makeWritable(folder: string): void {
  chmodSync(folder, 0o755);
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) makeWritable(join(folder, entry.name));
  }
}

/** A stage on its way. */
class Build {
  readonly #root: string;
  readonly #stages: ReadonlyMap<string, Build>;
  readonly #env: Record<string, string> = {};
  readonly #volumes: string[] = [];
  readonly #commands: Record<string, readonly string[]> = {};
  #cwd = "/";
  #user = "0:0";

  constructor(root: string, stages: ReadonlyMap<string, Build>) {
    this.#root = root;
    this.#stages = stages;
    for (const each of ["usr/local/bin", "tmp"]) mkdirSync(join(root, each), { recursive: true });
    chmodSync(join(root, "tmp"), 0o1777);
    cpSync(realpathSync(process.execPath), this.#inside("/usr/local/bin/node"));
  }

  #inside(path: string): string {
    return join(this.#root, resolve(this.#cwd, path));
  }

  /** What stands for an absolute path of the image, and anything else as it is. */
  #move(text: string): string {
    return text.startsWith("/") ? this.#inside(text) : text;
  }

  async take(step: Step): Promise<void> {
    const { keyword, args, isExec, text } = step;
    if (keyword === "COPY") return this.#copy(step);
    if (keyword === "RUN") return isExec ? await this.#runExec(args) : await this.#runShell(text);
    const [first = ""] = args;
    if (keyword === "WORKDIR") {
      this.#cwd = first;
      mkdirSync(this.#inside("."), { recursive: true });
    } else if (keyword === "USER") this.#user = first;
    else if (keyword === "VOLUME") this.#volumes.push(...args.map((path) => this.#inside(path)));
    else if (keyword === "ENV") {
      for (const arg of args) {
        const [, name = "", value = ""] = /^(\w+)=(.*)$/.exec(arg) ?? [];
        this.#env[name] = this.#move(value);
      }
    } else if (isExec) this.#commands[keyword] = args.map((arg) => this.#move(arg));
    else if (keyword !== "EXPOSE") throw new Error(`cannot be done here: ${keyword} ${text}`);
  }

  #copy({ flags, args }: Step): void {
    const { from, ...others } = flags;
    if (Object.keys(others).length > 0)
      throw new Error(`cannot be done here: COPY with ${Object.keys(others)}`);
    const base = from === undefined ? repository : this.#rootOf(from);
    const target = this.#inside(args.at(-1) ?? "");
    for (const pattern of args.slice(0, -1)) {
      const sources = globSync(pattern.replace(/^\//, ""), { cwd: base });
      if (sources.length === 0) throw new Error(`there is no ${pattern} to copy`);
      for (const source of sources) {
        const path = join(base, source);
        const isFolder = statSync(path).isDirectory();
        const isSent = (each: string) => from !== undefined || isInContext(relative(base, each));
        if (!isFolder && !isSent(path)) throw new Error(`${source} is not sent to the engine`);
        // Of a folder its content is copied, a file into a folder.
        const to = isFolder || !args.at(-1)?.endsWith("/") ? target : join(target, basename(source));
        mkdirSync(dirname(to), { recursive: true });
        cpSync(path, to, {
          recursive: true,
          filter: (each) => lstatSync(each).isDirectory() || isSent(each),
        });
      }
    }
  }

  #rootOf(name: string): string {
    const build = this.#stages.get(name);
    if (build === undefined) throw new Error(`there is no stage ${name}`);
    return build.#root;
  }

  /** By the machine's own programs, in place of the base's. */
  async #runExec([program = "", ...args]: readonly string[]): Promise<void> {
    const allowed = isRoot ? args : args.filter((arg) => !/^--(owner|group)=/.test(arg));
    await run(
      program,
      allowed.map((arg) => this.#move(arg)),
    );
  }

  async #runShell(text: string): Promise<void> {
    if (text.startsWith("npm ci ")) return this.#linkPackages();
    const PATH = `${dirname(process.execPath)}:${process.env.PATH}`;
    await run("/bin/sh", ["-c", text], { cwd: this.#inside("."), env: { ...process.env, PATH } });
  }

  /** The packages are the repository's; those of its workspaces are links, as npm makes them. */
  #linkPackages(): void {
    const from = join(repository, "node_modules");
    const to = this.#inside("node_modules");
    mkdirSync(join(to, "@vestibule"), { recursive: true });
    for (const name of readdirSync(from).filter((each) => each !== "@vestibule")) {
      symlinkSync(join(from, name), join(to, name));
    }
    for (const name of readdirSync(join(from, "@vestibule"))) {
      const folder = relative(repository, realpathSync(join(from, "@vestibule", name)));
      symlinkSync(this.#inside(folder), join(to, "@vestibule", name));
    }
  }

  finish(): Omit<MadeImage, typeof Symbol.dispose> {
    const [uid = 0, gid = 0] = this.#user.split(":").map(Number);
    if (!isRoot) makeReadOnly(this.#root, [...this.#volumes, this.#inside("/tmp")]);
    for (const volume of this.#volumes) if (isRoot) chownSync(volume, uid, gid);
    const toCommand = (name: string) => this.#commands[name] ?? [];
    return {
      root: this.#root,
      owner: isRoot ? { uid, gid } : {},
      env: { ...this.#env, PATH: this.#inside("/usr/local/bin"), TMPDIR: this.#inside("/tmp") },
      cwd: this.#inside("."),
      entrypoint: toCommand("ENTRYPOINT"),
      command: toCommand("CMD"),
      healthcheck: toCommand("HEALTHCHECK"),
      volumes: this.#volumes,
    };
  }
}

function makeReadOnly(folder: string, but: readonly string[]): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (but.includes(path)) continue;
    if (entry.isDirectory()) makeReadOnly(path, but);
    else if (entry.isFile()) chmodSync(path, 0o555);
  }
  chmodSync(folder, 0o555);
}
