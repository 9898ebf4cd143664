import { Registry } from "prom-client";
import { expect, it } from "vitest";
import { registerFigure } from "./edge/operations/figure.ts";
import { createFigures, type FigureSources } from "./figures.ts";
import { Durations } from "./lib/durations.ts";
import { Tally } from "./lib/tally.ts";

const since = new Date("2026-01-01T00:00:00Z");
const next = new Date("2026-01-31T00:00:00Z");

/** Sources in which nothing has happened. */
function createSources(overrides: Partial<FigureSources> = {}): FigureSources {
  const transactions = { committed: 0, rolled_back: 0, unavailable: 0 };
  const durations = new Durations([1]);
  return {
    health: { isServing: () => false },
    admission: { waitingCount: 0, refusedCount: 0 },
    database: { dialect: "sqlite", figures: () => ({ transactions, durations, waiting: 0, commits: 0 }) },
    feed: { secondsSinceConfirmed: undefined, isConfirmed: () => false },
    audit: { waitingCount: 0, lostCount: 0 },
    usage: { waitingCount: 0, lostCalls: 0 },
    mailer: { isAvailable: () => true, figures: () => ({ accepted: 0, failed: 0, waiting: 0 }) },
    keyring: { get: async () => ({ findSchedule: () => ({ signsFromAt: since, nextSignsFromAt: next }) }) },
    limits: new Tally(["client_failures"]),
    fetches: new Tally(["2xx"]),
    swept: new Tally(["sessions"]),
    watch: { size: 0 },
    caches: {},
    tracing: undefined,
    logOutput: { lostCount: 0 },
    clock: { now: () => since },
    ...overrides,
  };
}

/** How the text format shows the sources. */
function show(sources: FigureSources): () => Promise<string> {
  const registry = new Registry();
  for (const figure of createFigures(sources)) registerFigure(registry, figure);
  return () => registry.metrics();
}

it("shows every kind from 0 on, so that a first event is seen to happen", async () => {
  const text = await show(createSources())();
  for (const line of [
    "vestibule_ready 0",
    "vestibule_audit_records_lost_total 0",
    "vestibule_log_lines_lost_total 0",
    'vestibule_database_transactions_total{result="unavailable"} 0',
    'vestibule_database_transaction_duration_seconds_bucket{le="+Inf"} 0',
    'vestibule_limit_refusals_total{limit="client_failures"} 0',
    'vestibule_fetches_total{result="2xx"} 0',
    'vestibule_swept_rows_total{kind="sessions"} 0',
  ]) {
    expect(text).toContain(`${line}\n`);
  }
  expect(text).toMatch(/vestibule_change_feed_age_seconds NaN\n/i);
});

it("shows the connections of a pool where there is one, and the commits of a file where there is one", async () => {
  const transactions = { committed: 0, rolled_back: 0, unavailable: 0 };
  const figures = () => ({
    transactions,
    durations: new Durations([1]),
    waiting: 3,
    connections: { used: 2, idle: 1 },
  });
  const text = await show(createSources({ database: { dialect: "postgres", figures } }))();
  expect(text).toContain('vestibule_database_connections{state="used"} 2\n');
  expect(text).toContain("vestibule_database_waiting 3\n");
  expect(text).not.toContain("vestibule_database_commits_total");
  expect(await show(createSources())()).not.toContain("vestibule_database_connections");
});

it("asks for the signing keys only while the feed is confirmed, and shows those it saw last", async () => {
  let isConfirmed = false;
  let reads = 0;
  let isDown = false;
  const schedule = { signsFromAt: since, nextSignsFromAt: next };
  const showNow = show(
    createSources({
      feed: { secondsSinceConfirmed: 0, isConfirmed: () => isConfirmed },
      keyring: {
        get: async () => {
          reads += 1;
          if (isDown) throw new Error("gone");
          return { findSchedule: () => schedule };
        },
      },
    }),
  );
  const rotation = async () =>
    /^vestibule_signing_key_rotation_timestamp_seconds (\S+)$/m.exec(await showNow())?.[1];
  expect(await rotation()).toMatch(/^nan$/i);
  expect(reads).toBe(0);
  isConfirmed = true;
  expect(Number(await rotation())).toBe(next.getTime() / 1000);
  isDown = true;
  expect(Number(await rotation())).toBe(next.getTime() / 1000);
  isConfirmed = false;
  const before = reads;
  expect(Number(await rotation())).toBe(next.getTime() / 1000);
  expect(reads).toBe(before);
});
