import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Makes a folder and those above it that are missing. Node's own way
 * (`recursive`) never ends where the file system says ENOENT for a folder whose
 * parent is there, as Linux does of `/proc/new`; this says so too.
 *
 * @returns the uppermost that was made; undefined if the folder was there.
 * @throws the error of the operating system, with its `code`.
 */
export function makeFolder(path: string, mode: number): string | undefined {
  try {
    mkdirSync(path, { mode });
    return path;
  } catch (error) {
    if (isFolder(path)) return undefined;
    const parent = dirname(path);
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || isFolder(parent)) throw error;
    const made = makeFolder(parent, mode);
    // Another process may have been faster, with both.
    const own = makeFolder(path, mode);
    return made ?? own;
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
