import { type CommandContext, UsageError } from "./command.ts";
import { readFirstLine } from "./first-line.ts";

/** How a passphrase is given, for a command's help. */
export const passphraseHelp = "The passphrase is the first line of --passphrase-file <file>.";

/**
 * The passphrase of a backup's keys: never among the arguments or in the
 * environment, which others may read.
 *
 * @throws UsageError when there is none
 */
export function readPassphrase(context: CommandContext, file: string | undefined): string {
  if (file === undefined) throw new UsageError("a passphrase is needed: --passphrase-file <file>");
  const passphrase = readFirstLine(context, file);
  if (passphrase === "") throw new UsageError(`${file}: its first line is the passphrase, and is empty`);
  return passphrase;
}
