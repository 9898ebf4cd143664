/** `vestibule backup`: all data of one moment in one file, beside servers that go on running. */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { makeBackup } from "../backup/backup.ts";
import { noteBackup } from "../backup/last-backup.ts";
import { readArchive } from "../backup/read-archive.ts";
import { openKeys } from "../backup/sealed-keys.ts";
import { readKeyTexts } from "../config/data-dir.ts";
import { loadConfig } from "../config/load-config.ts";
import { openDatabase } from "../db/open-database.ts";
import { silentLog } from "../lib/log.ts";
import { toDatabaseUrl } from "../storage.ts";
import { type Command, type CommandContext, UsageError } from "./command.ts";
import { toKeySettings } from "./key-settings.ts";
import { passphraseHelp, readPassphrase } from "./passphrase.ts";
import { showProgress, toNumber } from "./progress.ts";

/** What `backup --help` says. */
export const backupHelp = `Usage: vestibule backup <file>, with the server's settings; servers may go on running

  backup <file>              write all data of this moment to a new file
  backup <file> --with-keys  the same with the keys, sealed by a passphrase
  backup verify <file>       read a backup and say whether it is whole; needs no settings
  backup keys <file>         print the keys in it as settings

${passphraseHelp}

More is in docs/backup.md.`;

/** @see backupHelp */
export const backupCommand: Command = async (args, context) => {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { "with-keys": { type: "boolean" }, "passphrase-file": { type: "string" } },
  });
  const [first, second, ...rest] = positionals;
  // `backup verify` without a file, as of an empty variable, is no backup into a file of that name.
  const lacksFile = second === undefined && (first === "verify" || first === "keys");
  if (first === undefined || lacksFile || rest.length > 0)
    throw new UsageError("backup <file>, backup verify <file> or backup keys <file>; see backup --help");
  const { "with-keys": withKeys = false, "passphrase-file": passphraseFile } = values;
  if (second === undefined) {
    if (passphraseFile !== undefined && !withKeys)
      throw new UsageError("backup: --passphrase-file is for keys: say --with-keys as well, or leave it out");
    return await make(context, first, withKeys, passphraseFile);
  }
  if (withKeys) throw new UsageError(`backup ${first} takes no --with-keys`);
  if (first === "verify") return await verify(context, second);
  if (first === "keys") return await printKeys(context, second, passphraseFile);
  throw new UsageError(`backup: expected one file, verify or keys, got ${first} ${second}`);
};

async function make(
  context: CommandContext,
  file: string,
  withKeys: boolean,
  passphraseFile: string | undefined,
): Promise<void> {
  const config = loadConfig(context);
  const url = toDatabaseUrl(config);
  const keys = withKeys
    ? { passphrase: readPassphrase(context, passphraseFile), texts: readKeyTexts(config) }
    : undefined;
  const progress = showProgress(context, "rows");
  const path = resolve(context.cwd, file);
  const { clock } = context;
  const onProgress = (rows: number, all: number) => progress.update(rows, all);
  const made = await makeBackup({ url, path, clock, onProgress, ...(keys && { keys }) }).finally(
    progress.end,
  );
  context.print(
    `${file}: ${toNumber(made.rows)} rows of ${made.tables} tables as of ${made.at.toISOString()}`,
  );
  context.print(
    withKeys
      ? "the keys are in it, sealed: without the passphrase nobody has them, you included"
      : "the keys are not in it: keep them too, elsewhere (or use --with-keys)",
  );
  await noteLast(context, url, made.at);
}

/** Notes a backup as the last one in a database that has all of it. The backup is good whatever becomes of this. */
export async function noteLast(context: CommandContext, url: string, at: Date): Promise<void> {
  try {
    const database = await openDatabase({ url, log: silentLog, poolSize: 1 });
    await noteBackup(database, { at, endedAt: context.clock.now() }).finally(() => database.close());
  } catch (error) {
    context.print(
      `that it was made could not be noted: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

async function verify(context: CommandContext, file: string): Promise<void> {
  const progress = showProgress(context, "rows");
  let all = 0;
  const visitor = {
    onHeader: ({ rows }: { readonly rows: number }) => {
      all = rows;
    },
  };
  const path = resolve(context.cwd, file);
  const { header, end } = await readArchive(path, visitor, (rows) => progress.update(rows, all)).finally(
    progress.end,
  );
  for (const [table, { rows }] of Object.entries(end.tables)) context.print(`${table}\t${rows}`);
  context.print(
    `${file}: whole; made ${header.created_at} by ${header.version} from ${header.database}, ` +
      (header.keys === undefined ? "without keys" : "with keys"),
  );
}

async function printKeys(
  context: CommandContext,
  file: string,
  passphraseFile: string | undefined,
): Promise<void> {
  const passphrase = readPassphrase(context, passphraseFile);
  const { header } = await readArchive(resolve(context.cwd, file), {});
  if (header.keys === undefined)
    throw new UsageError(`${file}: has no keys in it; it was made without --with-keys`);
  const keys = await openKeys(header.keys, passphrase);
  context.print(toKeySettings(keys));
}
