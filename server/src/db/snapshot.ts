/** Reading a whole database as it was at one moment, beside servers that go on writing. */
import type { Log } from "../lib/log.ts";
import type { Reader } from "./database.ts";
import { isPostgresUrl, openDatabase } from "./open-database.ts";
import { findOpenReader } from "./open-reader.ts";

/**
 * Runs `work` over one moment of a database, however long it takes: a read
 * transaction of SQLite, whose log keeps what is written meanwhile, and one
 * with repeatable reads on Postgres. Changes nothing, makes nothing.
 *
 * @returns undefined if there is no SQLite file
 * @throws DomainError UNAVAILABLE when it cannot be opened or reached
 */
export async function readSnapshot<T>(
  { url, log }: { readonly url: string; readonly log: Log },
  work: (reader: Reader) => Promise<T>,
): Promise<T | undefined> {
  if (isPostgresUrl(url)) {
    const times = { statementTimeoutMs: 0, idleTransactionMs: 0 };
    const database = await openDatabase({ url, log, poolSize: 1, ...times });
    try {
      return await database.reader.transaction().setIsolationLevel("repeatable read").execute(work);
    } finally {
      await database.close();
    }
  }
  const opened = await findOpenReader({ url, log });
  try {
    return await opened?.reader.transaction().execute(work);
  } finally {
    await opened?.close();
  }
}
