/** Programs out of Debian's packages, unpacked into the user's cache, for which nobody needs to be root. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Packages, unpacked. */
export interface DebianFiles {
  /** Folder in which they are as they would be below `/`. */
  readonly root: string;
  /** What programs in it need to find their libraries. */
  readonly env: Readonly<Record<string, string>>;
}

/** What is there wherever apt is, and must not be had twice. */
const base = /^lib(c6|c-bin|gcc-s1|stdc\+\+6|crypt1)$/;

/**
 * Packages with the libraries that they need, as apt had them within a day.
 *
 * @param name of the cache's folder.
 * @throws Error of apt, where it cannot serve them.
 */
export async function unpackPackages(name: string, packages: readonly string[]): Promise<DebianFiles> {
  const caches = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "vestibule-proxies");
  const folder = findRecent(caches, name) ?? (await fetchPackages(caches, name, packages));
  const root = join(folder, "root");
  const libraries = ["usr/lib", "lib"].flatMap((place) => listArchitectures(join(root, place)));
  return { root, env: { LD_LIBRARY_PATH: libraries.join(delimiter) } };
}

/** What apt had within a day: asking it again takes seconds. */
function findRecent(caches: string, name: string): string | undefined {
  if (!existsSync(caches)) return undefined;
  const isOwn = new RegExp(`^${name}-[0-9a-f]{16}$`);
  const folders = readdirSync(caches)
    .filter((each) => isOwn.test(each))
    .map((each) => join(caches, each));
  return folders.find((folder) => Date.now() - statSync(folder).mtimeMs < 86_400_000);
}

async function fetchPackages(caches: string, name: string, wanted: readonly string[]): Promise<string> {
  const packages = [...new Set([...wanted, ...(await listLibraries(wanted))])];
  const { stdout: versions } = await run("apt-cache", ["policy", ...packages]);
  const key = createHash("sha256").update(versions).digest("hex").slice(0, 16);
  const folder = join(caches, `${name}-${key}`);
  if (existsSync(folder)) {
    utimesSync(folder, new Date(), new Date());
    return folder;
  }
  mkdirSync(caches, { recursive: true });
  // It has its name only once it is whole.
  const fresh = mkdtempSync(`${folder}.`);
  try {
    await run("apt-get", ["download", ...packages], { cwd: fresh });
    const files = readdirSync(fresh).filter((file) => file.endsWith(".deb"));
    for (const file of files) await run("dpkg", ["-x", file, "root"], { cwd: fresh });
    if (!existsSync(folder)) renameSync(fresh, folder);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return folder;
}

/** `/usr/lib/x86_64-linux-gnu` and the like. */
function listArchitectures(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.includes("-linux-"))
    .map((name) => join(folder, name));
}

/** The libraries that packages need, and those that they need. */
async function listLibraries(names: readonly string[]): Promise<string[]> {
  // One look for all: each takes apt a good part of a second.
  const { stdout } = await run("apt-cache", ["depends", "--recurse", "--important", ...names]);
  const needs = new Map<string, string[]>();
  let needed: string[] = [];
  for (const line of stdout.split("\n")) {
    const [, library] = /^ *\|?(?:Pre)?Depends: (lib\S+)$/.exec(line) ?? [];
    if (library !== undefined) needed.push(library);
    if (!/^\S/.test(line)) continue;
    needed = [];
    needs.set(line, needed);
  }
  const found = new Set<string>();
  const visit = (each: string) => {
    for (const library of needs.get(each) ?? []) {
      if (base.test(library) || found.has(library)) continue;
      found.add(library);
      visit(library);
    }
  };
  for (const name of names) visit(name);
  return [...found];
}
