import { byLabel, counter, type Figure, gauge, toHistogram } from "../assembly/figure.ts";
import type { Room } from "../assembly/room.ts";
import type { DatabaseFigures } from "./kysely-database.ts";

/** What is counted of a database. */
export interface CountingDatabase {
  figures(): DatabaseFigures;
}

/** The database, which was opened before the server: what metrics show of it. */
export function assembleDatabase(database: CountingDatabase): Room {
  return { figures: listDatabaseFigures(database) };
}

function listDatabaseFigures(database: CountingDatabase): Figure[] {
  const { connections, commits } = database.figures();
  const duration = "database_transaction_duration_seconds";
  return [
    counter("database_transactions_total", "Transactions by how they ended.", () =>
      byLabel("result", database.figures().transactions),
    ),
    {
      name: duration,
      help: "Time of a transaction, waiting for its turn and for the commit included.",
      type: "histogram",
      read: () => toHistogram(duration, database.figures().durations),
    },
    gauge(
      "database_waiting",
      "Transactions that wait for their turn; on Postgres whatever waits for a connection.",
      () => database.figures().waiting,
    ),
    ...(connections === undefined
      ? []
      : [
          gauge("database_connections", "Connections of the pool.", () =>
            byLabel("state", { used: 0, idle: 0, ...database.figures().connections }),
          ),
        ]),
    ...(commits === undefined
      ? []
      : [
          counter(
            "database_commits_total",
            "Commits of the SQLite file; transactions made at the same time share one.",
            () => database.figures().commits ?? 0,
          ),
        ]),
  ];
}
