/** Holds what was given against the schema and reads each value. */
import type { z } from "zod";
import { findNearest } from "../lib/suggest.ts";
import type { Problems } from "./problems.ts";
import { toShown } from "./problems.ts";
import type { GivenSection } from "./read-settings.ts";
import { type Settings, settingsSchema } from "./schema.ts";
import { listAllKeys, listKeysAt } from "./schema-keys.ts";

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/**
 * Reads the values, refusing each bad one by its key. What is refused is left
 * out of the answer, so that the rest can still be judged.
 */
export function validate(given: GivenSection, problems: Problems): Settings {
  const values = structuredClone(given);
  const first = settingsSchema.safeParse(values);
  if (first.success) return first.data;
  for (const issue of first.error.issues) {
    for (const { path, message } of toRefusals(issue)) problems.refuse(toKey(path), message);
    for (const path of toPaths(issue)) prune(values, path);
  }
  // Whatever is left is good: all keys are optional, and the bad ones are gone.
  return settingsSchema.parse(values);
}

function toPaths(issue: Issue): readonly Path[] {
  return issue.code === "unrecognized_keys" ? issue.keys.map((key) => [...issue.path, key]) : [issue.path];
}

function toRefusals(issue: Issue): readonly { path: Path; message: string }[] {
  return toPaths(issue).map((path) => ({
    path,
    message: issue.code === "unrecognized_keys" ? toUnknownKeyMessage(path) : issue.message,
  }));
}

function toUnknownKeyMessage(path: Path): string {
  const key = String(path.at(-1));
  const section = path.slice(0, -1);
  const sibling = findNearest(key, listKeysAt(section));
  const elsewhere = listAllKeys().find((known) => known === key || known.endsWith(`.${key}`));
  const meant = sibling === undefined ? elsewhere : toKey([...section, sibling]);
  return `is not a setting${meant === undefined ? "" : `; did you mean ${meant}?`}`;
}

/** `a.b[0]`, each name fit to be shown. */
function toKey(path: Path): string {
  return path
    .map((part) => (typeof part === "number" ? `[${part}]` : `.${toShown(String(part))}`))
    .join("")
    .replace(/^\./, "");
}

/** Removes the value at a path; of a list, all of it. */
function prune(values: GivenSection, path: Path): void {
  const [key, ...rest] = path;
  if (key === undefined) return;
  const inner = values[String(key)];
  const isLast = rest.length === 0 || typeof rest[0] === "number";
  if (isLast) delete values[String(key)];
  else if (typeof inner === "object" && inner !== null) prune(inner as GivenSection, rest);
}
