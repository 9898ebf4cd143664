/** `vestibule gate config <proxy>`: the files that put a proxy's visitors before the gate. */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { loadConfig } from "../config/load-config.ts";
import type { Reader } from "../db/database.ts";
import type { FrontendAtHost } from "../frontdoor/frontends/frontend.ts";
import { findFrontdoorIdsByHostname, findFrontendAtHost } from "../frontdoor/frontends/store.ts";
import { type ProxyKind, proxyKinds, writeProxyFiles } from "../gate/proxy-files/proxy-files.ts";
import type { ProxyFile, ProxyFileValues } from "../gate/proxy-files/values.ts";
import { makeFolder } from "../lib/make-folder.ts";
import { type Command, type CommandContext, UsageError } from "./command.ts";
import { openExisting } from "./with-storage.ts";

const usage = `Usage: vestibule gate config <proxy> --frontend <host name> --upstream <host:port>

  <proxy> is one of ${proxyKinds.join(", ")}

  --frontend          host name of a custom frontend, as it is stored
  --upstream          where the app behind the gate answers
  --proxy-token-file  file with a proxy token of the frontdoor; without it a place is left for one
  --gate              where this service answers the proxy: 127.0.0.1 and its own port, if not given
  --listen            where the proxy takes visitors: 0.0.0.0 and the frontend's port, if not given
  --frontdoor         id of the frontdoor, where several have such a frontend
  --out               folder to write into; without it the one file there is goes to standard output
  --force             overwrite files that are there

More is in docs/gate.md.`;

/** Stands where the token belongs if none is given; good for nothing. */
const noToken = "vstp_PUT_THE_PROXY_TOKEN_HERE";

const options = {
  frontend: { type: "string" },
  frontdoor: { type: "string" },
  upstream: { type: "string" },
  "proxy-token-file": { type: "string" },
  gate: { type: "string" },
  listen: { type: "string" },
  out: { type: "string" },
  force: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

/** @see usage */
export const gateCommand: Command = async (args, context) => {
  const { values: given, positionals } = parse(args);
  if (given.help) return context.print(usage);
  const { kind, values } = readArguments(given, positionals);
  const config = loadConfig(context);
  const frontend = await readFrontend(context, values);
  const { hostname, scheme } = frontend;
  const port = /:(\d+)$/.exec(hostname)?.[1] ?? (scheme === "https" ? 443 : 80);
  const folder = values.out === undefined ? undefined : resolve(context.cwd, values.out);
  const files = fill(kind, {
    frontdoorId: frontend.frontdoorId,
    hostname,
    scheme,
    keyHeaders: listKeyHeaders(frontend),
    ...(frontend.assertionHeader !== "" && { assertionHeader: frontend.assertionHeader }),
    gate: values.gate ?? `127.0.0.1:${config.listen.port}`,
    upstream: values.upstream,
    listen: values.listen ?? `0.0.0.0:${port}`,
    proxyToken: readToken(context, values["proxy-token-file"]),
    ...(folder !== undefined && kind === "haproxy" && { folder }),
  });
  if (folder === undefined) print(files, context);
  else write(files, folder, values.force === true, context);
};

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    // Its first sentence says which option; the rest is about dashes.
    throw refuse((error as Error).message.split(". ", 1)[0] ?? "");
  }
}

function readArguments(given: ReturnType<typeof parse>["values"], positionals: readonly string[]) {
  const [action, kind, ...others] = positionals;
  if (action !== "config")
    throw refuse(`${action === undefined ? "" : `unknown ${action}, `}expected config`);
  const { frontend, upstream } = given;
  if (!isProxyKind(kind)) {
    throw refuse(
      `${kind === undefined ? "the proxy is missing" : `${kind} is unknown`}: name one of ${proxyKinds.join(", ")}`,
    );
  }
  if (frontend === undefined) throw refuse("--frontend is missing");
  if (upstream === undefined) throw refuse("--upstream is missing");
  if (others.length > 0) throw refuse(`one proxy at a time, not ${others.join(" ")} as well`);
  return { kind, values: { ...given, frontend, upstream } };
}

function refuse(what: string): UsageError {
  return new UsageError(`gate config: ${what}; see vestibule gate --help`);
}

function isProxyKind(kind: string | undefined): kind is ProxyKind {
  return proxyKinds.some((each) => each === kind);
}

/** The frontend of that host name; where several frontdoors have one, the one that is named. */
async function readFrontend(
  context: CommandContext,
  { frontend, frontdoor }: { readonly frontend: string; readonly frontdoor?: string | undefined },
): Promise<FrontendAtHost> {
  const opened = await openExisting("gate config", loadConfig(context));
  try {
    return await getFrontend(opened.reader, frontend.toLowerCase(), frontdoor?.toLowerCase());
  } finally {
    await opened.close();
  }
}

async function getFrontend(
  reader: Reader,
  hostname: string,
  frontdoorId: string | undefined,
): Promise<FrontendAtHost> {
  const ids = await findFrontdoorIdsByHostname(reader, hostname);
  const [only, ...others] = frontdoorId === undefined ? ids : ids.filter((id) => id === frontdoorId);
  if (others.length > 0) {
    throw new UsageError(
      `gate config: several frontdoors have a frontend ${hostname}, name one by --frontdoor: ${ids.join(", ")}`,
    );
  }
  const found = only === undefined ? undefined : await findFrontendAtHost(reader, only, hostname);
  if (found === undefined) {
    const nobody = frontdoorId === undefined ? "no frontdoor" : `no frontdoor ${frontdoorId}`;
    throw new UsageError(
      `gate config: ${nobody} has a frontend ${hostname}: write it as it is stored, with its port if it has one`,
    );
  }
  return found;
}

/** Headers of keys, as their providers write them; each once. */
function listKeyHeaders({ providers }: FrontendAtHost): string[] {
  const headers = providers
    .filter(({ type }) => type === "API_KEY")
    .map(({ data }) => (typeof data.header === "string" ? data.header : "X-API-Key"));
  return [...new Map(headers.map((header) => [header.toLowerCase(), header])).values()];
}

function readToken({ cwd }: CommandContext, file: string | undefined): string {
  if (file === undefined) return noToken;
  try {
    return readFileSync(resolve(cwd, file), "utf8").trim();
  } catch (error) {
    throw new UsageError(`gate config: ${file} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

function fill(kind: ProxyKind, values: ProxyFileValues): readonly ProxyFile[] {
  try {
    return writeProxyFiles(kind, values);
  } catch (error) {
    throw new UsageError(`gate config: ${(error as Error).message}`);
  }
}

function print(files: readonly ProxyFile[], context: CommandContext): void {
  const [only, ...others] = files;
  if (others.length > 0) {
    const names = files.map(({ name }) => name).join(" and ");
    throw new UsageError(`gate config: there are ${names}; say by --out which folder they go to`);
  }
  context.print((only?.text ?? "").trimEnd());
}

/** Writes all of them, for nobody else to read as a token is in them; or none where one would be lost by it. */
function write(
  files: readonly ProxyFile[],
  folder: string,
  isForced: boolean,
  context: CommandContext,
): void {
  const paths = files.map(({ name }) => join(folder, name));
  const there = isForced ? [] : paths.filter((path) => existsSync(path));
  if (there.length > 0) {
    throw new UsageError(`gate config: ${there.join(" and ")} would be overwritten; say --force if it may`);
  }
  makeFolder(folder, 0o777);
  for (const { name, text } of files) {
    // A file that is there would keep its mode.
    rmSync(join(folder, name), { force: true });
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    context.print(join(folder, name));
  }
}
