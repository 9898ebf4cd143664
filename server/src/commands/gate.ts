/** `vestibule gate config <proxy>`: the files that put a proxy's visitors before the gate. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { loadConfig } from "../config/load-config.ts";
import type { Reader } from "../db/database.ts";
import type { FrontendAtHost } from "../frontdoor/frontends/frontend.ts";
import { findFrontdoorIdsByHostname, findFrontendAtHost } from "../frontdoor/frontends/store.ts";
import { type ProxyKind, proxyKinds, writeProxyFiles } from "../gate/proxy-files/proxy-files.ts";
import type { ProxyFile, ProxyFileValues } from "../gate/proxy-files/values.ts";
import { type Command, type CommandContext, UsageError } from "./command.ts";
import { openExisting } from "./with-storage.ts";

const usage = `gate config <proxy> --frontend <host name> --upstream <host:port>
  [--frontdoor <id>] [--proxy-token-file <file>] [--gate <host:port>] [--listen <host:port>] [--out <folder>]
  <proxy> is one of ${proxyKinds.join(", ")}`;

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
} as const;

/** @see usage */
export const gateCommand: Command = async (args, context) => {
  const [action, ...rest] = args;
  if (action !== "config") throw new UsageError(`gate: expected config\n\n${usage}`);
  const { kind, values } = readArguments(rest);
  const config = loadConfig(context);
  const frontend = await readFrontend(context, values);
  const { hostname, scheme } = frontend;
  const port = /:(\d+)$/.exec(hostname)?.[1] ?? (scheme === "https" ? 443 : 80);
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
  });
  show(files, values.out, context);
};

function readArguments(args: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    const [kind, ...others] = positionals;
    const { frontend, upstream } = values;
    const isComplete = frontend !== undefined && upstream !== undefined && others.length === 0;
    if (isComplete && isProxyKind(kind)) return { kind, values: { ...values, frontend, upstream } };
  } catch {
    // The usage says it better.
  }
  throw new UsageError(`usage: vestibule ${usage}`);
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
    throw new UsageError(
      `gate config: no frontdoor has a frontend ${hostname}${frontdoorId === undefined ? "" : " of that id"}`,
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

/** Prints the one file, or writes all of them for nobody else to read: a token is in them. */
function show(files: readonly ProxyFile[], out: string | undefined, { cwd, print }: CommandContext): void {
  if (out === undefined) {
    const [only, ...others] = files;
    if (others.length > 0) {
      const names = files.map(({ name }) => name).join(" and ");
      throw new UsageError(`gate config: there are ${names}; say by --out which folder they go to`);
    }
    print((only?.text ?? "").trimEnd());
    return;
  }
  const folder = resolve(cwd, out);
  mkdirSync(folder, { recursive: true });
  for (const { name, text } of files) {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    print(join(folder, name));
  }
}
