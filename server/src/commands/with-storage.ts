import type { Config } from "../config/config.ts";
import { loadConfig } from "../config/load-config.ts";
import { getSchemaState } from "../db/migrate.ts";
import { findOpenReader, type OpenReader } from "../db/open-reader.ts";
import { silentLog } from "../lib/log.ts";
import { openStorage, type Storage, toDatabaseUrl } from "../storage.ts";
import { type CommandContext, UsageError } from "./command.ts";

/** Opens the configured storage for the time of `work`. Servers on it may go on running. */
export async function withStorage(
  context: CommandContext,
  work: (storage: Storage) => Promise<void>,
): Promise<void> {
  const config = loadConfig(context);
  const storage = await openStorage(config, silentLog, context.clock, "command-line");
  try {
    await work(storage);
  } finally {
    await storage.close();
  }
}

/**
 * Works on a database that a server or `migrate` has made: in the wrong
 * folder a command shall not make another one.
 *
 * @throws UsageError where there is none; nothing is made then.
 */
export async function withExistingStorage(
  command: string,
  context: CommandContext,
  work: (storage: Storage) => Promise<void>,
): Promise<void> {
  const opened = await openExisting(command, loadConfig(context));
  await opened.close();
  await withStorage(context, work);
}

/** Reads a database that a server or `migrate` has made. @throws UsageError where there is none. */
export async function openExisting(command: string, config: Config): Promise<OpenReader> {
  const opened = await findOpenReader({ url: toDatabaseUrl(config), log: silentLog });
  if (opened !== undefined && !(await getSchemaState(opened.reader)).isEmpty) return opened;
  await opened?.close();
  const place = config.database.dialect === "sqlite" ? config.database.path : "on Postgres";
  throw new UsageError(`${command}: there is no database yet, ${place}; run it with the server's settings`);
}
