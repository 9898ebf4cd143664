/** The lock that keeps a second server off an SQLite file. */
import { realpathSync } from "node:fs";
import Sqlite from "better-sqlite3";
import { DatabaseRefusedError, isSqliteBusy, toUnavailable } from "./errors.ts";
import { isPostgresUrl, sqlitePath } from "./open-database.ts";
import { createPrivateFile } from "./sqlite-handle.ts";

/** Held until released, or until the process ends. Keep it: one that is garbage-collected is free. */
export interface ServerLock {
  release(): void;
}

/** Another server has the file. */
export class AlreadyServedError extends DatabaseRefusedError {}

/**
 * Makes this process, or those that it starts, the one server of an SQLite
 * file; take it before migrating. Several servers on Postgres are welcome: there it does nothing.
 * Command-line tools do not take it.
 *
 * The lock is SQLite's exclusive lock on a second file beside the database, by
 * whatever name the database is reached. The kernel drops it with the process,
 * however that ends, so it is never stale; the file itself stays, and means
 * nothing by itself.
 *
 * @throws AlreadyServedError when another server holds it.
 */
export function acquireServerLock(databaseUrl: string): ServerLock {
  if (isPostgresUrl(databaseUrl)) return { release: () => {} };
  const path = sqlitePath(databaseUrl);
  const lockPath = `${toRealPath(path)}.lock`;
  let lock: Sqlite.Database | undefined;
  try {
    createPrivateFile(lockPath);
    lock = new Sqlite(lockPath, { timeout: 0 });
    lock.exec("begin exclusive");
  } catch (error) {
    lock?.close();
    if (!isSqliteBusy(error)) throw toUnavailable(error);
    throw new AlreadyServedError(
      `another server is already running on ${path}: one server serves an SQLite file; ` +
        "stop the other, give it more --processes, or use a postgres:// database_url to run several",
    );
  }
  const held = lock;
  return { release: () => held.close() };
}

/** Without symbolic links, as SQLite itself names its companion files; as given before the file is there. */
function toRealPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
