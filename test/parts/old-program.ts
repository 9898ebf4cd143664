/**
 * The server as it was packed at version 0.1.0, by `npm pack -w server` without
 * a library that no command read. It brings what it needs but `better-sqlite3`,
 * which is found where ours is.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");

/** An unpacked program. */
export interface OldProgram extends Disposable {
  /** For `startServer` and `runVestibule`. */
  readonly command: string;
}

/** Unpacks it into a folder of its own, which goes with it. */
export function unpackOldProgram(): OldProgram {
  const folder = mkdtempSync(join(tmpdir(), "vestibule-0.1.0-"));
  execFileSync("tar", ["xzf", join(root, "test/fixtures/vestibule-server-0.1.0.tgz"), "-C", folder]);
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  return {
    command: join(folder, "package/bin/vestibule.js"),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}
