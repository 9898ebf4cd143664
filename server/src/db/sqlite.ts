import { Kysely } from "kysely";
import type { Log } from "../lib/log.ts";
import type { Tracing } from "../lib/tracing.ts";
import { Checkpointer } from "./checkpointer.ts";
import { FilePresence } from "./file-presence.ts";
import { GroupCommit } from "./group-commit.ts";
import { KyselyDatabase, type OpenDatabase } from "./kysely-database.ts";
import type { Schema } from "./schema.ts";
import { TwoConnectionSqliteDialect } from "./sqlite-dialect.ts";
import { SqliteHandle } from "./sqlite-handle.ts";
import { createQueryRecorder } from "./traced-queries.ts";
import { TransactionScope } from "./transaction-scope.ts";

export interface SqliteOptions {
  readonly path: string;
  readonly log: Log;
  readonly tracing: Tracing | undefined;
  readonly monotonicMs: () => number;
  /** Sees each statement of the writing connection. For tests. */
  readonly onStatement?: ((sql: string) => void) | undefined;
}

/** Opens an SQLite file, made if missing (0600): one connection that writes, one that reads. */
export function openSqlite(options: SqliteOptions): OpenDatabase {
  const { path, log, tracing, monotonicMs, onStatement } = options;
  const writer = new SqliteHandle({ path, readOnly: false, onStatement });
  const reader = new SqliteHandle({ path, readOnly: true });
  const presence = new FilePresence(path, log);
  const checkpointer = new Checkpointer({ path, log });
  const onCommit = () => checkpointer.noteCommit();
  const commits = new GroupCommit({ handle: writer, presence, log, monotonicMs, onCommit });
  const scope = new TransactionScope(log);
  const kysely = new Kysely<Schema>({
    dialect: new TwoConnectionSqliteDialect({ reader, writer, commits, presence, scope }),
    ...(tracing && { log: createQueryRecorder("sqlite", tracing) }),
  });
  return new KyselyDatabase({
    dialect: "sqlite",
    kysely,
    scope,
    tracing,
    listen: () => async () => {},
    onPresence: (listener) => presence.subscribe(listener),
    figures: () => ({ waiting: commits.waitingCount, commits: commits.commitCount }),
    close: async () => {
      presence.close();
      await commits.close();
      await checkpointer.close();
      await kysely.destroy();
      reader.close();
      writer.close();
    },
  });
}
