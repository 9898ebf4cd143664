/** Files in PEM form that settings name. */
import { resolve } from "node:path";
import type { Problems } from "./problems.ts";
import type { Files } from "./read-settings.ts";

/**
 * Reads a file and what is in it; a file that cannot be read, or that `parse`
 * throws at, is refused by the key of the setting, and the answer is undefined.
 *
 * @param content what the file should hold, for the refusal
 */
export function readPem<T>(
  path: string,
  file: string,
  content: string,
  parse: (pem: string) => T,
  files: Files,
  problems: Problems,
): { pem: string; parsed: T } | undefined {
  let pem: string;
  try {
    pem = files.readFile(resolve(files.cwd, file));
  } catch (error) {
    const { code = "an error" } = error as NodeJS.ErrnoException;
    problems.refuse(path, `must name a file that can be read, got ${code}`);
    return undefined;
  }
  try {
    return { pem, parsed: parse(pem) };
  } catch {
    problems.refuse(path, `must name a file that holds a ${content} in PEM form`);
    return undefined;
  }
}
