/**
 * Disks that are full or only to be read, for processes that a test starts: by
 * file systems of their own, where this user may have them, else by a limit of
 * the process, which everybody may set and which tells by other codes.
 */
import { spawnSync } from "node:child_process";

/** What comes before a command that is to have such a disk. */
export type Prefix = readonly string[];

const mayMount = spawnSync("unshare", ["-rm", "true"]).status === 0;

/** Files of a few hundred KiB at most: the kernel refuses what is longer (EFBIG). Nothing but a shell is needed. */
export function limitFiles(kib: number): Prefix {
  // In units of 512 bytes, as POSIX has them; some shells count by 1024.
  return ["bash", "-c", `ulimit -f ${kib} && exec "$@"`, "-"];
}

/** A folder that has room for a few hundred KiB and is empty; what is in it at the end is printed. */
export function fillDisk(folder: string, kib: number): Prefix {
  if (!mayMount) return [...limitFiles(kib), ...listing(folder, ":")];
  return ["unshare", "-rm", ...listing(folder, `mount -t tmpfs -o size=${kib}k,mode=0700 none "$0"`)];
}

/** A folder in which nothing can be made. */
export function forbidWriting(folder: string): Prefix {
  if (!mayMount) return listing(folder, 'chmod 0500 "$0"');
  return ["unshare", "-rm", ...listing(folder, 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"')];
}

function listing(folder: string, setUp: string): Prefix {
  return ["bash", "-c", `${setUp} && { "$@"; code=$?; echo "left: $(ls -A "$0")"; exit $code; }`, folder];
}
