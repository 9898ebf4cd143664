import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { type CommandContext, UsageError } from "./command.ts";

/** The first line of a file that holds a secret. @throws UsageError when it cannot be read */
export function readFirstLine({ cwd }: Pick<CommandContext, "cwd">, file: string): string {
  const path = resolve(cwd, file);
  try {
    return readFileSync(path, "utf8").split(/\r?\n/, 1)[0] ?? "";
  } catch (error) {
    throw new UsageError(`${path}: cannot be read, got ${(error as NodeJS.ErrnoException).code}`);
  }
}
