/** `vestibule copy`: the whole database to another place, to be served there from then on. */
import { constants, lstatSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Config } from "../config/config.ts";
import { readKeyTexts, resolveSecrets } from "../config/data-dir.ts";
import { loadConfig } from "../config/load-config.ts";
import { parseDatabaseUrl } from "../config/values.ts";
import { compareKeyChecks } from "../encryption/key-checks.ts";
import { ValueError } from "../lib/value-error.ts";
import { copyDatabase, takeBack } from "../moving/copy.ts";
import { CopyError } from "../moving/errors.ts";
import { toPlace } from "../moving/places.ts";
import { toDatabaseUrl } from "../storage.ts";
import { type Command, type CommandContext, UsageError } from "./command.ts";
import { readFirstLine } from "./first-line.ts";
import { toKeySettings } from "./key-settings.ts";
import { showProgress, toNumber } from "./progress.ts";

/** What `copy --help` says. */
export const copyHelp = `Usage: vestibule copy --to <address>, with the settings of the server that runs on the source

  copy --to <address>           copy the database to an empty one, postgres://… or sqlite:<path>; servers then refuse this one
  copy --to <address> --online  the same, while servers go on writing until the last of it is copied
  copy --keys <file>            write the keys to a new file as settings, for a server on Postgres; alone or with --to
  copy --take-back              have servers take this database again, as it was left

The address is given by --to, or out of sight of others as the first line of --to-file <file> or in the environment
variable that --to-env <name> names. Interrupted or killed, the same command goes on where it was.

More is in docs/moving.md.`;

/** @see copyHelp */
export const copyCommand: Command = async (args, context) => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      to: { type: "string" },
      "to-file": { type: "string" },
      "to-env": { type: "string" },
      online: { type: "boolean" },
      keys: { type: "string" },
      "take-back": { type: "boolean" },
    },
  });
  const to = readTarget(context, values);
  const { keys, online = false } = values;
  if (values["take-back"]) {
    if (to !== undefined || online || keys !== undefined)
      throw new UsageError("copy --take-back stands alone");
    return await takeItBack(context);
  }
  if (to === undefined && (keys === undefined || online))
    throw new UsageError("copy --to <address>; see copy --help");
  const config = loadConfig(context);
  if (keys !== undefined) writeKeys(context, config, keys);
  if (to !== undefined) await copy(context, config, to, online, keys !== undefined);
};

type Given = Readonly<Partial<Record<"to" | "to-file" | "to-env", string>>>;

/** The address of the target, which is never printed: it may have a password. @throws UsageError */
function readTarget(context: CommandContext, given: Given): string | undefined {
  const { to, "to-file": file, "to-env": variable } = given;
  const names = [to, file, variable].filter((each) => each !== undefined);
  if (names.length > 1)
    throw new UsageError("copy: --to, --to-file and --to-env are three ways to say one thing");
  const text = to ?? (file === undefined ? readVariable(context, variable) : readFirstLine(context, file));
  if (text === undefined) return undefined;
  try {
    const target = parseDatabaseUrl(text);
    return target.dialect === "postgres" ? target.url : `sqlite:${resolve(context.cwd, target.path)}`;
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    throw new UsageError(`copy: the address of the target ${error.message}`);
  }
}

function readVariable({ env }: CommandContext, name: string | undefined): string | undefined {
  if (name === undefined) return undefined;
  const text = env[name];
  if (text === undefined) throw new UsageError(`copy: there is no environment variable ${name}`);
  return text;
}

async function copy(
  context: CommandContext,
  config: Config,
  to: string,
  isOnline: boolean,
  hasKeys: boolean,
): Promise<void> {
  let signal: string | undefined;
  void context.untilStopped().then((name) => {
    signal = name;
  });
  const progress = showProgress(context, "rows");
  const onProgress = (rows: number, all: number) => {
    if (signal !== undefined)
      throw new CopyError(`interrupted by ${signal}: copy again, and it goes on from there`);
    progress.update(rows, all);
  };
  const verifyKeys = async (reader: Parameters<typeof compareKeyChecks>[0]) =>
    await compareKeyChecks(reader, resolveSecrets(config, { mayGenerate: false }));
  const [from, { clock }] = [toDatabaseUrl(config), context];
  const { tables, lockedMs } = await copyDatabase({
    from,
    to,
    isOnline,
    verifyKeys,
    clock,
    onProgress,
  }).finally(progress.end);
  for (const { name, rows, digest } of tables) context.print(`${name}\t${rows}\t${digest}`);
  const all = tables.reduce((sum, { rows }) => sum + rows, 0);
  context.print(
    `copied to ${toPlace(to)}: ${toNumber(all)} rows of ${tables.length} tables, each as it is here; ` +
      `nobody could write for ${(lockedMs / 1000).toFixed(1)} s`,
  );
  context.print("no server takes this database any more: start them with the new address, and the same keys");
  if (!hasKeys && hasKeyFiles(config) && !to.startsWith("sqlite:")) {
    context.print("on Postgres the keys come from the settings: vestibule copy --keys <file> writes them");
  }
}

function hasKeyFiles({ encryptionKeys, authentication }: Config): boolean {
  const { hashSecretKey, blockSecretKey } = authentication.session;
  return encryptionKeys.length === 0 || hashSecretKey === undefined || blockSecretKey === undefined;
}

function writeKeys({ cwd, print }: CommandContext, config: Config, file: string): void {
  const text = `${toKeySettings(readKeyTexts(config))}\n`;
  const path = resolve(cwd, file);
  try {
    writeFileSync(path, text, { flag: "wx", mode: 0o600, flush: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EEXIST") throw new UsageError(`${file}: cannot be written, got ${code}`);
    // The same command again, after it was refused or interrupted.
    if (!holds(path, text)) throw new UsageError(`${file}: is there already, and is not overwritten`);
  }
  print(`${file}: the keys, as settings; whoever has them can read all that is secret in the database`);
}

/** Whether it is a file as it is written here, which nobody else may read. */
function holds(path: string, text: string): boolean {
  try {
    const { mode, size } = lstatSync(path);
    // Neither the end of a pipe nor of a device is waited for.
    const isOwn = (mode & ~constants.S_IRWXU) === constants.S_IFREG && size === Buffer.byteLength(text);
    return isOwn && readFileSync(path, "utf8") === text;
  } catch {
    return false;
  }
}

async function takeItBack(context: CommandContext): Promise<void> {
  const { place, state } = await takeBack(toDatabaseUrl(loadConfig(context)));
  context.print(
    state === "leaving"
      ? `it was not moved to ${place} yet, and is not going to be until it is copied again`
      : `servers take this database again; what was written to ${place} since is not here: let no server run there`,
  );
}
