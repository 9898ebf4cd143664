/** New files for their owner alone, which have their names once all of them is on the disk. */
import { randomBytes } from "node:crypto";
import { createWriteStream, existsSync, linkSync, readdirSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { Writable } from "node:stream";
import { flushFolder } from "./key-file.ts";

/** There is such a file, or it cannot be written; nothing of a new one is left then. */
export class WholeFileError extends Error {
  override readonly name = "WholeFileError";
}

/**
 * Writes a new file. Until all of it is there it lies beside its place under
 * another name, and goes when something fails.
 *
 * @param fill writes it all to the stream, which it has ended when it resolves
 * @throws WholeFileError when the file is there, or cannot be written; what `fill` throws besides
 */
export async function writeWholeFile(path: string, fill: (file: Writable) => Promise<void>): Promise<void> {
  removeDrafts(path);
  if (existsSync(path)) throw isThere(path);
  const draft = `${path}.${randomBytes(6).toString("hex")}.partial`;
  try {
    await fill(createWriteStream(draft, { flags: "wx", mode: 0o600, flush: true }));
    giveName(draft, path);
    flushFolder(dirname(resolve(path)));
  } catch (error) {
    removeDraft(draft);
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (code === undefined || syscall === undefined) throw error;
    throw new WholeFileError(`${path}: cannot be written, got ${code}; nothing is left of it`, {
      cause: error,
    });
  }
}

function isThere(path: string): WholeFileError {
  return new WholeFileError(`${path}: is there already, and is not overwritten`);
}

/** A link fails if the name was taken meanwhile; some file systems know none, as those of other machines. */
function giveName(draft: string, path: string): void {
  try {
    linkSync(draft, path);
    rmSync(draft, { force: true });
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (syscall !== "link") throw error;
    if (code === "EEXIST" || existsSync(path)) throw isThere(path);
    if (code === "ENOENT") {
      throw new WholeFileError(`${path}: another into it began meanwhile, and this one gave way`);
    }
    renameSync(draft, path);
  }
}

/** What was left by who was killed. Nobody can tell whether somebody still writes one: whose draft goes gives way. */
function removeDrafts(path: string): void {
  const [folder, prefix] = [dirname(path), `${basename(path)}.`];
  const isDraft = (name: string) =>
    name.startsWith(prefix) && /^[0-9a-f]{12}\.partial$/.test(name.slice(prefix.length));
  for (const name of listNames(folder).filter(isDraft)) removeDraft(join(folder, name));
}

/** None where it cannot be listed: what that means is told by writing into it. */
function listNames(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** What kept it from being written may keep it from being removed: there may be none. */
function removeDraft(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {}
}
