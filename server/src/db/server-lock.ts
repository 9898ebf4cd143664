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

/** How long a lock is waited for that somebody else may have for a moment, in milliseconds. */
const momentMs = 1_000;

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
 * @param forSeveral whether processes that this one starts may join it ({@link joinServer}).
 * @throws AlreadyServedError when another server holds it, or one of its processes still does.
 */
export function acquireServerLock(databaseUrl: string, forSeveral = false): ServerLock {
  return lock(databaseUrl, (held) => {
    held.exec("begin exclusive");
    if (!forSeveral) return;
    // One that whoever joins can share, and no other server.
    held.exec("commit");
    held.pragma(`busy_timeout = ${momentMs}`);
    held.exec("begin immediate");
  });
}

/**
 * Makes this process one of those that whoever has the lock has started: until
 * it ends, nobody else becomes the server, even if that one was killed.
 *
 * @throws AlreadyServedError when another server has the file by now.
 */
export function joinServer(databaseUrl: string): ServerLock {
  return lock(databaseUrl, (held) => {
    held.pragma(`busy_timeout = ${momentMs}`);
    held.exec("begin");
    // A read, which takes SQLite's shared lock.
    held.pragma("schema_version");
  });
}

function lock(databaseUrl: string, take: (held: Sqlite.Database) => void): ServerLock {
  if (isPostgresUrl(databaseUrl)) return { release: () => {} };
  const path = sqlitePath(databaseUrl);
  const lockPath = `${toRealPath(path)}.lock`;
  let opened: Sqlite.Database | undefined;
  try {
    createPrivateFile(lockPath);
    opened = new Sqlite(lockPath, { timeout: 0 });
    take(opened);
  } catch (error) {
    opened?.close();
    if (!isSqliteBusy(error)) throw toUnavailable(error);
    throw new AlreadyServedError(
      `another server is already running on ${path}: one server serves an SQLite file; ` +
        "stop the other, give it more --processes, or use a postgres:// database_url to run several",
    );
  }
  const held = opened;
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
