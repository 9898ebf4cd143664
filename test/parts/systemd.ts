/** systemd's judge of units: the machine's own, else out of Debian's package. Nothing of it has to run. */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { unpackPackages } from "./debian.ts";
import { type Ran, runProgram } from "./program.ts";

/** Runs `systemd-analyze` to its end. */
export async function analyzeUnit(args: readonly string[]): Promise<Ran> {
  const own = (process.env.PATH ?? "")
    .split(delimiter)
    .map((folder) => join(folder, "systemd-analyze"))
    .find((path) => existsSync(path));
  if (own !== undefined) return await runProgram(own, args);
  const { root, env } = await unpackPackages("systemd", ["systemd"]);
  // What its programs share is in a folder of its own.
  const folders = (env.LD_LIBRARY_PATH ?? "")
    .split(delimiter)
    .flatMap((each) => [join(each, "systemd"), each]);
  return await runProgram(join(root, "usr/bin/systemd-analyze"), args, {
    env: { LD_LIBRARY_PATH: folders.join(delimiter) },
  });
}
