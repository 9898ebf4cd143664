/**
 * Key files: read, or made once and never again.
 *
 * A new file is written under another name, flushed, and then linked to its
 * own. The link fails if a name is taken, so of several processes one makes
 * the key and all of them read the same; a crash leaves no half key.
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  type Stats,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { ConfigError } from "./config-error.ts";

/** Mode bits that let everybody in. */
const worldBits = 0o007;

/** Mode bits that let the group in. Kubernetes sets them on all that is on a volume with an `fsGroup`, at every start. */
const groupBits = 0o070;

/** Whether the group may use it as well: nothing to refuse, for who is in it may be this process alone. */
export function isOpenToGroup({ mode }: Stats): boolean {
  return process.platform !== "win32" && (mode & groupBits) !== 0;
}

/** @throws ConfigError when everybody may use what belongs to this process alone. */
export function refuseForeignAccess(path: string, stats: Stats, ownerMode: string): void {
  // Windows has no such bits: what Node shows there says nothing.
  if (process.platform === "win32" || (stats.mode & worldBits) === 0) return;
  const mode = (stats.mode & 0o777).toString(8).padStart(3, "0");
  throw new ConfigError([
    `${path}: is open to others (mode ${mode}); run: chmod ${ownerMode} ${toShellWord(path)}`,
  ]);
}

function toShellWord(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

/**
 * Reads a key file without its line end; undefined if there is none.
 *
 * @throws ConfigError when it is not a file, or everybody may read it.
 */
export function findKeyText(path: string): string | undefined {
  let file: number;
  try {
    // Without O_NONBLOCK a named pipe of this name would wait for a writer.
    file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    throw new ConfigError([`${path}: cannot be read, got ${code}`]);
  }
  try {
    const stats = fstatSync(file);
    if (!stats.isFile()) throw new ConfigError([`${path}: must be a file that holds a key`]);
    refuseForeignAccess(path, stats, "600");
    return readFileSync(file, "utf8").replace(/\r?\n$/, "");
  } finally {
    closeSync(file);
  }
}

/**
 * Makes a key file, mode 0600, on disk when this returns. Does nothing if
 * there is one by now: read it afterwards to learn which key it is.
 *
 * @throws ConfigError when the folder cannot be written.
 */
export function makeKeyFile(path: string, text: string): void {
  const draft = `${path}.${randomBytes(8).toString("hex")}.tmp`;
  try {
    writeFileSync(draft, `${text}\n`, { mode: 0o600, flag: "wx", flush: true });
    try {
      linkSync(draft, path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    } finally {
      unlinkSync(draft);
    }
    flushFolder(dirname(path));
  } catch (error) {
    throw new ConfigError([`${path}: cannot be made, got ${(error as NodeJS.ErrnoException).code}`]);
  }
}

/** Makes names that were added to a folder survive a loss of power. */
export function flushFolder(path: string): void {
  if (process.platform === "win32") return;
  const folder = openSync(path, constants.O_RDONLY);
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
