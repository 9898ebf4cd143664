/** Spans of queries and transactions for OpenTelemetry, without texts or parameters. */
import type { LogEvent } from "kysely";
import type { Tracing } from "../lib/tracing.ts";

/** Names of the systems as OpenTelemetry has them. */
const systems = { sqlite: "sqlite", postgres: "postgresql" } as const;

/** Names a transaction as a span does. */
export function toTransactionWork(dialect: "sqlite" | "postgres") {
  const attributes = { "db.system.name": systems[dialect], "db.operation.name": "TRANSACTION" };
  return { name: "TRANSACTION", kind: "database", attributes } as const;
}

/**
 * Records each query when it has ended, as Kysely tells of it: its operation,
 * its first table and how long it took; neither its text nor its parameters.
 */
export function createQueryRecorder(
  dialect: "sqlite" | "postgres",
  tracing: Pick<Tracing, "record">,
): (event: LogEvent) => void {
  const system = systems[dialect];
  return (event) => {
    const { operation, table } = summarize(event.query.sql);
    const attributes = {
      "db.system.name": system,
      "db.operation.name": operation,
      "db.collection.name": table,
    };
    tracing.record(
      { name: table === undefined ? operation : `${operation} ${table}`, kind: "database", attributes },
      event.queryDurationMillis,
      event.level === "error" ? event.error : undefined,
    );
  };
}

/** Says what a statement does, and to which table, as the compiler writes it: with placeholders for all values. */
function summarize(sql: string): { operation: string; table: string | undefined } {
  const operation = /\b(?:select|insert|update|delete|merge)\b/i.exec(sql)?.[0] ?? /^\w+/.exec(sql)?.[0];
  const table = /\b(?:from|into|update)\s+"?(\w+)"?/i.exec(sql)?.[1];
  return { operation: operation?.toUpperCase() ?? "QUERY", table };
}
