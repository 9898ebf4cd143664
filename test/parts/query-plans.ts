/** What a database does for a query, by its own word. */
import { CompiledQuery } from "kysely";
import { expect } from "vitest";
import type { Reader } from "../../server/src/db/database.ts";
import { dialectOf } from "../../server/src/db/dialect.ts";

/** The steps of each query that `run` makes, as the database explains them. */
async function explainQueries(
  reader: Reader,
  run: (watched: Reader) => Promise<unknown>,
): Promise<string[][]> {
  const asked: CompiledQuery[] = [];
  const watched = reader.withPlugin({
    transformQuery: ({ node, queryId }) => {
      asked.push(reader.getExecutor().compileQuery(node, queryId));
      return node;
    },
    transformResult: async ({ result }) => result,
  });
  await run(watched);
  return await Promise.all(asked.map((query) => explain(reader, query)));
}

async function explain(reader: Reader, { sql, parameters }: CompiledQuery): Promise<string[]> {
  const word = dialectOf(reader) === "sqlite" ? "explain query plan" : "explain";
  const { rows } = await reader.executeQuery<Record<string, unknown>>(
    CompiledQuery.raw(`${word} ${sql}`, [...parameters]),
  );
  return rows.map((row) => String(row.detail ?? row["QUERY PLAN"]));
}

/**
 * Fails for a query that reads a table or an index from end to end, or sorts
 * what it has read.
 *
 * @param isWhole whether the list is all there is, in the order of an index: that is read until the page is full.
 */
export async function expectIndexesOnly(
  reader: Reader,
  run: (watched: Reader) => Promise<unknown>,
  isWhole = false,
): Promise<void> {
  const plans = await explainQueries(reader, run);
  expect(plans.length).toBeGreaterThan(0);
  for (const steps of plans) {
    const plan = steps.join("\n");
    expect(plan).not.toMatch(/Seq Scan|TEMP B-TREE|\bSort\b|Merge Join|Hash/);
    if (isWhole) expect(plan).toMatch(/^SCAN \w+ USING INDEX|Index Scan/m);
    else expect(plan).toMatch(/^ *(SEARCH|CO-ROUTINE)|Index Cond:/m);
    // Of what an index has found already.
    if (!isWhole) expect(plan).not.toMatch(/SCAN (?!found)/);
  }
}
