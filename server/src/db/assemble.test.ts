import { expect, it } from "vitest";
import { Durations } from "../lib/counts.ts";
import { assembleDatabase } from "./assemble.ts";
import type { DatabaseMetrics } from "./kysely-database.ts";

/** What is shown of these metrics, by name. */
async function show(own: Partial<DatabaseMetrics>): Promise<Record<string, unknown>> {
  const transactions = { committed: 0, rolled_back: 0, unavailable: 0 };
  const all = { transactions, durations: new Durations([1]), waiting: 0, ...own };
  const { metrics = [] } = assembleDatabase({ metrics: () => all });
  return Object.fromEntries(await Promise.all(metrics.map(async ({ name, read }) => [name, await read()])));
}

it("shows every kind of end from 0 on, so that a first one is seen to happen", async () => {
  const shown = await show({ commits: 0 });
  expect(shown.database_transactions_total).toContainEqual({ labels: { result: "unavailable" }, value: 0 });
  expect(shown.database_transaction_duration_seconds).toContainEqual({
    metricName: "vestibule_database_transaction_duration_seconds_bucket",
    labels: { le: "+Inf" },
    value: 0,
  });
});

it("shows the connections of a pool where there is one, and the commits of a file where there is one", async () => {
  const pool = await show({ waiting: 3, connections: { used: 2, idle: 1 } });
  expect(pool.database_connections).toContainEqual({ labels: { state: "used" }, value: 2 });
  expect(pool.database_waiting).toBe(3);
  expect(pool).not.toHaveProperty("database_commits_total");
  const file = await show({ commits: 5 });
  expect(file).not.toHaveProperty("database_connections");
  expect(file.database_commits_total).toBe(5);
});
