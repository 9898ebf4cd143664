/**
 * First step: collect what was given, by the file and by the environment, and
 * say of each value where it came from. Nothing is judged here but whether
 * the file can be read at all and whether the variables exist.
 */
import { resolve } from "node:path";
import { LineCounter, parseDocument, type YAMLError } from "yaml";
import { findNearest } from "../lib/suggest.ts";
import { configVariable, variables } from "./schema.ts";
import { isSection } from "./schema-keys.ts";

/** Variables by name, as `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Where files come from. */
export interface Files {
  /** Folder that relative paths start from. */
  readonly cwd: string;
  /** Reads a text file whole. @throws Error with `code` ENOENT where there is none. */
  readFile(path: string): string;
}

/** A section as given: keys to values of any type. */
export interface GivenSection {
  [key: string]: unknown;
}

/** What was given, unjudged. */
export interface GivenSettings {
  readonly values: GivenSection;
  /** Keys whose value comes from a variable. */
  readonly fromEnvironment: ReadonlySet<string>;
  /** What could not be read or is not known, one line each. */
  readonly problems: readonly string[];
}

const defaultFile = "vestibule.yaml";

/** Reads the file of settings and lays the environment over it. */
export function readSettings(environment: Environment, files: Files): GivenSettings {
  const problems: string[] = unknownVariables(environment);
  const values = readFileSettings(environment[configVariable], files, problems);
  const fromEnvironment = new Set<string>();
  for (const [name, { path, form }] of Object.entries(variables)) {
    const text = environment[name];
    if (text === undefined) continue;
    if (place(values, path.split("."), form === "list" ? splitList(text) : text)) fromEnvironment.add(path);
  }
  return { values, fromEnvironment, problems };
}

function splitList(text: string): string[] {
  return text.trim() === "" ? [] : text.split(",").map((part) => part.trim());
}

/** Sets a value; false where the file has something else in the place of a section, which is refused later. */
function place(values: GivenSection, path: readonly string[], value: unknown): boolean {
  const [key = "", ...rest] = path;
  if (rest.length === 0) {
    values[key] = value;
    return true;
  }
  if (values[key] === undefined) values[key] = {};
  const inner = values[key];
  return isPlainObject(inner) && place(inner, rest, value);
}

function isPlainObject(value: unknown): value is GivenSection {
  return (
    typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
  );
}

/** Kubernetes announces a service called `vestibule` to its neighbours by variables of these names. */
const serviceLink =
  /^VESTIBULE_(SERVICE_(HOST|PORT|PORT_[A-Z0-9_]+)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/;

function isServiceLink(name: string, value: string): boolean {
  return serviceLink.test(name) || (name === "VESTIBULE_PORT" && /^(tcp|udp|sctp):\/\//.test(value));
}

function unknownVariables(environment: Environment): string[] {
  const known = [configVariable, ...Object.keys(variables)];
  return Object.entries(environment)
    .filter(([name, value]) => name.startsWith("VESTIBULE_") && value !== undefined)
    .filter(([name, value]) => !known.includes(name) && !isServiceLink(name, value ?? ""))
    .map(([name]) => {
      const nearest = findNearest(name, known);
      return `${name}: is not a setting${nearest === undefined ? "" : `; did you mean ${nearest}?`}`;
    });
}

function readFileSettings(named: string | undefined, files: Files, problems: string[]): GivenSection {
  if (named !== undefined && named.trim() === "") {
    problems.push(`${configVariable}: must not be empty; unset it to read ${defaultFile} if present`);
    return {};
  }
  const name = named ?? defaultFile;
  try {
    return parseYaml(name, files.readFile(resolve(files.cwd, name)), problems);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === undefined) throw error;
    if (named !== undefined)
      problems.push(`${configVariable} (or --config): must name a file that can be read, got ${code}`);
    else if (code !== "ENOENT") problems.push(`${defaultFile}: cannot be read, got ${code}`);
    return {};
  }
}

/** What went wrong, without the words of the file: they may be secrets. */
const yamlMessages: Partial<Record<YAMLError["code"], string>> = {
  BLOCK_AS_IMPLICIT_KEY: "a second colon in one line; put the value in quotes",
  BAD_INDENT: "wrong indentation",
  DUPLICATE_KEY: "this key is given twice in one section",
  MISSING_CHAR: "a closing or separating character is missing",
  MULTIPLE_DOCS: "a second document; only one is read",
  NON_STRING_KEY: "keys must be text",
  RESOURCE_EXHAUSTION: "too deeply nested",
  TAB_AS_INDENT: "a tab in the indentation; use spaces",
  TAG_RESOLVE_FAILED: "an unknown tag",
};

/** How many faults of a file are told at once. */
const mostFaults = 10;

function parseYaml(name: string, text: string, problems: string[]): GivenSection {
  const lines = new LineCounter();
  // Pretty errors would quote the file.
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    stringKeys: true,
    logLevel: "error",
  });
  const faults = [...document.errors, ...document.warnings];
  // One slip can be a fault at every place after it.
  for (const { code, pos } of faults.slice(0, mostFaults)) {
    const { line, col } = lines.linePos(pos[0]);
    problems.push(
      `${name}: line ${line}, column ${col}: ${yamlMessages[code] ?? `not valid YAML (${code})`}`,
    );
  }
  if (faults.length > 0) return {};
  try {
    const content: unknown = document.toJS({ maxAliasCount: 100 });
    if (isPlainObject(content)) return tidy(content, [], problems);
    if (content !== null) problems.push(`${name}: must hold sections and keys`);
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    problems.push(`${name}: an alias has no anchor before it, or aliases unfold without end`);
  }
  return {};
}

/** Deeper than any section: what lies there is in a refused place, and may be an alias that contains itself. */
const tooDeep = 8;

/** Copies sections into plain objects; one without content (`smtp:` with all its keys commented out) is empty. */
function tidy(section: GivenSection, path: readonly string[], problems: string[]): GivenSection {
  const copy: GivenSection = {};
  if (path.length === tooDeep) return copy;
  for (const [key, given] of Object.entries(section)) {
    const here = [...path, key];
    const value = given === null && isSection(here) ? {} : given;
    if (key === "__proto__") problems.push(`${here.join(".")}: is not a setting`);
    else copy[key] = isPlainObject(value) ? tidy(value, here, problems) : value;
  }
  return copy;
}
