/**
 * From the environment and the settings file to one {@link Config}, in two
 * steps: read (`read-settings.ts`), then decide (`validate.ts`, `decide.ts`).
 * The environment wins. Everything that is wrong is told at once.
 */
import { readFileSync } from "node:fs";
import type { Config } from "./config.ts";
import { decide } from "./decide.ts";
import { createProblems } from "./problems.ts";
import { type Environment, readSettings } from "./read-settings.ts";
import { validate } from "./validate.ts";

/** Where settings come from; what is left out is the process's own. */
export interface LoadConfigOptions {
  readonly env?: Environment;
  /** Folder that relative paths start from. */
  readonly cwd?: string;
  readonly readFile?: (path: string) => string;
  /** Whether the log goes to a terminal: decides the default of `log.format`. */
  readonly isTty?: boolean;
}

/**
 * Reads and validates all settings. The files it reads are the settings file
 * and TLS's two; it writes nothing.
 *
 * @throws ConfigError listing everything that is wrong.
 */
export function loadConfig(options: LoadConfigOptions = {}): Config {
  const {
    env = process.env,
    cwd = process.cwd(),
    readFile = (path: string) => readFileSync(path, "utf8"),
    isTty = process.stdout.isTTY === true,
  } = options;
  const given = readSettings(env, { cwd, readFile });
  const problems = createProblems((path) => given.fromEnvironment.has(path));
  for (const line of given.problems) problems.add(line);
  const settings = validate(given.values, problems);
  const config = decide(settings, { env, cwd, readFile, isTty }, problems);
  problems.throwIfAny();
  return deepFreeze(config);
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
