/**
 * TLS to Postgres by the parameters of its address that libpq knows
 * (https://www.postgresql.org/docs/current/libpq-ssl.html), meaning what they
 * mean there. `pg` gives `require` and its neighbours another sense, and warns
 * of that on the terminal; so nothing of them is left in the address for it.
 */
import { readFileSync } from "node:fs";
import { type ConnectionOptions, checkServerIdentity } from "node:tls";
import { DatabaseRefusedError } from "./errors.ts";

/** How a connection is secured. */
export interface PostgresTls {
  /** The address without the parameters that are read here. */
  readonly url: string;
  /** False for clear text. */
  readonly ssl: false | ConnectionOptions;
  /** Clear text is taken where the server has no TLS. */
  readonly mayFallBack: boolean;
}

const modes = ["disable", "prefer", "require", "verify-ca", "verify-full"] as const;
type Mode = (typeof modes)[number];

/** Where libpq takes the certificates of the system. */
const systemRoots = "system";

/**
 * Reads the parameters `sslmode`, `sslrootcert`, `sslcert` and `sslkey`, and
 * the files that they name.
 *
 * @throws DatabaseRefusedError for a mode that is none, files that cannot be read or are missing
 */
export function readPostgresTls(text: string): PostgresTls {
  const url = new URL(text);
  const take = (name: string) => {
    const value = url.searchParams.get(name) ?? undefined;
    if (value !== undefined) url.searchParams.delete(name);
    return value;
  };
  const rootPath = take("sslrootcert");
  const [certPath, keyPath] = [take("sslcert"), take("sslkey")];
  const mode = toMode(take("sslmode"), rootPath);
  if ((certPath === undefined) !== (keyPath === undefined)) refuse("sslcert and sslkey come together");
  if (mode === "disable") return { url: url.href, ssl: false, mayFallBack: false };
  const files = {
    ...(certPath !== undefined && { cert: read("sslcert", certPath) }),
    ...(keyPath !== undefined && { key: read("sslkey", keyPath) }),
    ...(rootPath !== undefined && rootPath !== systemRoots && { ca: read("sslrootcert", rootPath) }),
  };
  const host = (url.searchParams.get("host") ?? url.hostname).replace(/^\[|\]$/g, "");
  return { url: url.href, ssl: { ...files, ...toChecks(mode, host) }, mayFallBack: mode === "prefer" };
}

/** Without a mode clear text, but for an address that names a certificate: whoever does so means it to count. */
function toMode(given: string | undefined, rootPath: string | undefined): Mode {
  const mode = modes.find((each) => each === (given ?? (rootPath === undefined ? "disable" : "verify-full")));
  if (mode === undefined) return refuse(`sslmode must be one of ${modes.join(", ")}`);
  if (mode === "verify-ca" && rootPath === undefined) return refuse("sslmode=verify-ca needs sslrootcert");
  if (rootPath === systemRoots && mode !== "verify-full")
    return refuse("sslrootcert=system needs sslmode=verify-full");
  // As libpq has it: a root that is named is held against, whatever the mode.
  return mode === "require" && rootPath !== undefined ? "verify-ca" : mode;
}

function toChecks(mode: Mode, host: string): ConnectionOptions {
  switch (mode) {
    case "verify-full":
      // Node would take the name out of the options, where `pg` puts none for an address.
      return { checkServerIdentity: (_name, certificate) => checkServerIdentity(host, certificate) };
    case "verify-ca":
      return { checkServerIdentity: () => undefined };
    default:
      return { rejectUnauthorized: false };
  }
}

function read(name: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    return refuse(`${name} cannot be read, got ${(error as NodeJS.ErrnoException).code}`);
  }
}

function refuse(problem: string): never {
  throw new DatabaseRefusedError(`database_url (or VESTIBULE_DATABASE_URL): ${problem}`);
}

/** Whether a connection failed for nothing but that the server has no TLS, in the words of `pg`. */
export function isWithoutTls(error: unknown): boolean {
  return error instanceof Error && error.message === "The server does not support SSL connections";
}
