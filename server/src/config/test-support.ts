/** What the tests of this room share: loading from texts, and a certificate with its key. */
import { readFileSync } from "node:fs";
import type { Config } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import { loadConfig } from "./load-config.ts";
import type { Environment } from "./read-settings.ts";

const fixture = (name: string): string =>
  readFileSync(new URL(`../../../test/fixtures/tls/${name}`, import.meta.url), "utf8");

/** A certificate for `localhost` and its private key, as PEM. */
export const tls = { cert: fixture("localhost.crt"), key: fixture("localhost.key") };

/** Where settings come from in a test. */
export interface Given {
  readonly yaml?: string;
  readonly env?: Environment;
  /** Further files, by absolute path; the working directory is `/srv`. */
  readonly files?: Readonly<Record<string, string>>;
  readonly isTty?: boolean;
}

/** Loads from texts alone. */
export function load({ yaml, env = {}, files = {}, isTty = false }: Given): Config {
  const all: Readonly<Record<string, string | undefined>> = { "/srv/vestibule.yaml": yaml, ...files };
  const readFile = (path: string): string => {
    const text = all[path];
    if (text === undefined) throw Object.assign(new Error("no such file"), { code: "ENOENT" });
    return text;
  };
  return loadConfig({ env, cwd: "/srv", readFile, isTty });
}

/** The lines that loading is refused with; none when it is not. */
export function problemsOf(given: Given): readonly string[] {
  try {
    load(given);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}
