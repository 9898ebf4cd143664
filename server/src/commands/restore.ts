/** `vestibule restore <file>`: a backup into an empty place, then what `doctor` says of it. */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import type { ArchiveHeader } from "../backup/archive.ts";
import { BackupError } from "../backup/errors.ts";
import { readArchive } from "../backup/read-archive.ts";
import { restoreBackup } from "../backup/restore.ts";
import { openKeys } from "../backup/sealed-keys.ts";
import type { Config } from "../config/config.ts";
import {
  type KeySettings,
  listMissingKeyFiles,
  noteUsedKeys,
  prepareDataDir,
  putKeyFiles,
  resolveSecrets,
} from "../config/data-dir.ts";
import { loadConfig } from "../config/load-config.ts";
import { acquireServerLock } from "../db/server-lock.ts";
import { compareKeyChecks } from "../encryption/key-checks.ts";
import { encryptionKeyId } from "../encryption/sealer.ts";
import { DomainError } from "../lib/errors.ts";
import { toDatabaseUrl } from "../storage.ts";
import { noteLast } from "./backup.ts";
import { type Command, type CommandContext, UsageError } from "./command.ts";
import { doctorCommand } from "./doctor.ts";
import { passphraseHelp, readPassphrase } from "./passphrase.ts";
import { showProgress, toNumber } from "./progress.ts";

/** What `restore --help` says. */
export const restoreHelp = `Usage: vestibule restore <file>, with the settings of the server that is to run on it

  restore <file>                 put a backup into the configured database, which must be empty
  restore <file> --end-sessions  the same, and everybody signs in again: no session, code or access token is good

Keys come from the settings or the data directory. On SQLite those that are missing there are taken from the backup, if
it has them; on Postgres put them into the settings first (vestibule backup keys <file>).
${passphraseHelp}

More is in docs/backup.md.`;

/** @see restoreHelp */
export const restoreCommand: Command = async (args, context) => {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { "end-sessions": { type: "boolean" }, "passphrase-file": { type: "string" } },
  });
  const [file, ...rest] = positionals;
  if (file === undefined || rest.length > 0) throw new UsageError("restore <file>; see restore --help");
  const endsSessions = values["end-sessions"] === true;
  const path = resolve(context.cwd, file);
  const config = loadConfig(context);
  // All of it once before anything is made: what is no whole backup changes nothing.
  const { header } = await readArchive(path, {});
  const keys = await openMissingKeys(context, config, header, values["passphrase-file"]);
  if (keys === undefined) requireKeys(file, config, header);
  prepareDataDir(config.dataDir);
  const url = toDatabaseUrl(config);
  const lock = acquireServerLock(url);
  const progress = showProgress(context, "rows");
  let takeBack = () => {};
  try {
    const { end } = await restoreBackup({
      path,
      url,
      endsSessions,
      verifyKeys: async (reader) => {
        // Not before all rows are there: whoever kills it until then leaves no key behind.
        if (keys !== undefined) takeBack = putKeyFiles(config, keys);
        await compareKeyChecks(reader, resolveSecrets(config, { mayGenerate: false }));
      },
      onProgress: (rows, all) => progress.update(rows, all),
    });
    progress.end();
    const rows = Object.values(end.tables).reduce((sum, table) => sum + table.rows, 0);
    context.print(`${file}: ${toNumber(rows)} rows restored, as of ${header.created_at}`);
  } catch (error) {
    progress.end();
    takeBack();
    if (!(error instanceof DomainError) || error.kind !== "unavailable") throw error;
    const why = error.detail ?? error.message;
    throw new BackupError(`${file}: cannot be restored, and nothing of it is there: ${why}`, {
      cause: error,
    });
  } finally {
    lock.release();
  }
  // In the backup itself stands the one before.
  await noteLast(context, url, new Date(header.created_at));
  const { encryptionKeys } = resolveSecrets(config, { mayGenerate: false });
  noteUsedKeys(config, encryptionKeys.map(encryptionKeyId));
  context.print(toWarning(header, endsSessions));
  await doctorCommand([], context);
};

/** The keys of the backup, where those that are missing here are to be taken from it. */
async function openMissingKeys(
  context: CommandContext,
  config: Config,
  { keys }: ArchiveHeader,
  passphraseFile: string | undefined,
): Promise<KeySettings | undefined> {
  if (keys === undefined || passphraseFile === undefined || config.database.dialect === "postgres")
    return undefined;
  return await openKeys(keys, readPassphrase(context, passphraseFile));
}

/** Refuses what could not be read once it is restored, before anything is made. On Postgres settings are asked for later. */
function requireKeys(file: string, config: Config, header: ArchiveHeader): void {
  const missing = config.database.dialect === "sqlite" ? listMissingKeyFiles(config) : [];
  if (missing.length === 0) return;
  throw new BackupError(
    `${file}: there is no ${missing.join(", ")} to read it by, and ` +
      (header.keys === undefined
        ? "the backup is without keys: put those of the server it is of there, or into the settings"
        : "the backup has the keys: say --passphrase-file <file>, with the passphrase that seals them"),
  );
}

function toWarning({ created_at }: ArchiveHeader, endsSessions: boolean): string {
  const back = `what was taken away since ${created_at} is there again: credentials, keys, members, revoked tokens`;
  return endsSessions
    ? `${back}; every session, code and access token has ended`
    : `${back}, and sessions (--end-sessions ends all of them)`;
}
