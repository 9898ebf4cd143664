import { byLabel, counter, gauge, type Metric, toHistogram } from "../assembly/metric.ts";
import type { Room } from "../assembly/room.ts";
import type { DatabaseMetrics } from "./kysely-database.ts";

/** What is counted of a database. */
export interface CountingDatabase {
  metrics(): DatabaseMetrics;
}

/** The database, which was opened before the server: what metrics show of it. */
export function assembleDatabase(database: CountingDatabase): Room {
  return { metrics: listDatabaseMetrics(database) };
}

function listDatabaseMetrics(database: CountingDatabase): Metric[] {
  const { connections, commits } = database.metrics();
  const duration = "database_transaction_duration_seconds";
  return [
    counter("database_transactions_total", "Transactions by how they ended.", () =>
      byLabel("result", database.metrics().transactions),
    ),
    {
      name: duration,
      help: "Time of a transaction, waiting for its turn and for the commit included.",
      type: "histogram",
      read: () => toHistogram(duration, database.metrics().durations),
    },
    gauge(
      "database_waiting",
      "Transactions that wait for their turn; on Postgres whatever waits for a connection.",
      () => database.metrics().waiting,
    ),
    ...(connections === undefined
      ? []
      : [
          gauge("database_connections", "Connections of the pool.", () =>
            byLabel("state", { used: 0, idle: 0, ...database.metrics().connections }),
          ),
        ]),
    ...(commits === undefined
      ? []
      : [
          counter(
            "database_commits_total",
            "Commits of the SQLite file; transactions made at the same time share one.",
            () => database.metrics().commits ?? 0,
          ),
        ]),
  ];
}
