/**
 * `npm run lockfile`: puts back into package-lock.json what `npm install`
 * drops, so run it after every install. `npm run check` asserts the result.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const dependencyKinds = ["dependencies", "devDependencies", "optionalDependencies"] as const;

interface Manifest {
  readonly workspaces?: readonly string[];
  readonly allowScripts?: Readonly<Record<string, boolean>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

interface Lockfile {
  readonly packages: Record<string, LockEntry>;
}

interface LockEntry {
  readonly link?: boolean;
  resolved?: string;
  gypfile?: boolean;
}

/**
 * What is wrong with package.json, the workspaces' own and the lockfile, one
 * sentence each.
 *
 * - better-sqlite3 ships its binaries, yet npm would compile it from a
 *   lockfile and so ask for Python: npm 11 is told by `allowScripts`, npm 10 by
 *   `"gypfile": false` in the lockfile's entry.
 * - A lockfile made behind a mirror must not send others there.
 * - Every version is exact: an upgrade is a commit.
 */
export function findLockfileProblems(): string[] {
  const manifest = readJson<Manifest>("package.json");
  const lockfile = readJson<Lockfile>("package-lock.json");
  const problems: string[] = [];
  if (manifest.allowScripts?.["better-sqlite3"] !== false) {
    problems.push('package.json: allowScripts must have "better-sqlite3": false');
  }
  for (const [path, entry] of Object.entries(lockfile.packages)) {
    if (needsNoCompiler(path) && entry.gypfile !== false) {
      problems.push(`package-lock.json: ${path} must have "gypfile": false (npm run lockfile)`);
    }
    if (entry.resolved !== undefined && entry.link !== true) {
      problems.push(`package-lock.json: ${path} names where it was downloaded from (npm run lockfile)`);
    }
  }
  const folders = [".", ...(manifest.workspaces ?? [])];
  return [...problems, ...folders.flatMap((folder) => findLooseVersions(join(folder, "package.json")))];
}

/** Mends what `findLockfileProblems` finds in the lockfile; the manifests are for people to mend. */
function mendLockfile(): void {
  const lockfile = readJson<Lockfile>("package-lock.json");
  for (const [path, entry] of Object.entries(lockfile.packages)) {
    if (needsNoCompiler(path)) entry.gypfile = false;
    if (entry.link !== true) delete entry.resolved;
  }
  writeFileSync(join(root, "package-lock.json"), `${JSON.stringify(lockfile, null, 2)}\n`);
}

function needsNoCompiler(path: string): boolean {
  return path.endsWith("node_modules/better-sqlite3");
}

function findLooseVersions(path: string): string[] {
  const manifest = readJson<Manifest>(path);
  return dependencyKinds.flatMap((kind) =>
    Object.entries(manifest[kind] ?? {})
      .filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
      .map(([name, version]) => `${path}: ${kind} must pin ${name} to one version, not ${version}`),
  );
}

function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(join(root, path), "utf8")) as T;
}

if (import.meta.main) mendLockfile();
