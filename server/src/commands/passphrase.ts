import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { type CommandContext, UsageError } from "./command.ts";

/** How a passphrase is given, for a command's help. */
export const passphraseHelp = "The passphrase is the first line of --passphrase-file <file>.";

/**
 * The passphrase of a backup's keys: never among the arguments or in the
 * environment, which others may read.
 *
 * @throws UsageError when there is none
 */
export function readPassphrase({ cwd }: CommandContext, file: string | undefined): string {
  if (file === undefined) throw new UsageError("a passphrase is needed: --passphrase-file <file>");
  const passphrase = readFirstLine(resolve(cwd, file));
  if (passphrase === "") throw new UsageError(`${file}: its first line is the passphrase, and is empty`);
  return passphrase;
}

function readFirstLine(path: string): string {
  try {
    return readFileSync(path, "utf8").split(/\r?\n/, 1)[0] ?? "";
  } catch (error) {
    throw new UsageError(`${path}: cannot be read, got ${(error as NodeJS.ErrnoException).code}`);
  }
}
