/**
 * What `/metrics` shows besides requests: figures that the parts of a server
 * keep anyway, read when they are asked for and at no other time. Labels take
 * values from closed sets, and nothing here names anybody or holds a secret.
 */

import { byLabel, counter, type Figure, gauge, toHistogram } from "./assembly/figure.ts";
import type { DatabaseFigures } from "./db/kysely-database.ts";
import type { Clock } from "./lib/clock.ts";
import type { Tracing } from "./lib/tracing.ts";
import { version } from "./lib/version.ts";
import type { MailFigures } from "./mail/mailer.ts";
import type { SigningSchedule } from "./tokens/keyring.ts";

/** Counts by the values of one label. */
interface Counts {
  read(): Readonly<Record<string, number>>;
}

/** The signing keys, as far as their times go. */
interface SigningKeys {
  findSchedule(now: Date): SigningSchedule | undefined;
}

/** What of each part is looked at. */
export interface FigureSources {
  readonly health: { isServing(): boolean };
  readonly admission: { readonly waitingCount: number; readonly refusedCount: number };
  readonly database: { readonly dialect: "sqlite" | "postgres"; figures(): DatabaseFigures };
  readonly feed: { readonly secondsSinceConfirmed: number | undefined; isConfirmed(): boolean };
  readonly audit: { readonly waitingCount: number; readonly lostCount: number };
  readonly usage: { readonly waitingCount: number; readonly lostCalls: number };
  readonly mailer: { isAvailable(): boolean; figures(): MailFigures };
  readonly keyring: { get(): Promise<SigningKeys> };
  /** Refusals by the limit that was used up. */
  readonly limits: Counts;
  /** Outgoing fetches by how they ended. */
  readonly fetches: Counts;
  /** Rows that were removed because their time was over. */
  readonly swept: Counts;
  readonly watch: { readonly size: number };
  readonly caches: Readonly<Record<string, { readonly size: number; readonly loadCount: number }>>;
  readonly tracing: Pick<Tracing, "figures"> | undefined;
  readonly logOutput: { readonly lostCount: number };
  readonly clock: Clock;
}

/** All of them, in the order in which they are shown. */
export function createFigures(sources: FigureSources): Figure[] {
  return [
    ...listProcessFigures(sources),
    ...listDatabaseFigures(sources.database),
    ...listQueueFigures(sources),
    ...listKeyFigures(sources),
    ...listRefusalFigures(sources),
    ...listCacheFigures(sources.caches),
    ...listTraceFigures(sources.tracing),
  ];
}

function listProcessFigures({ health, admission, database, logOutput }: FigureSources): Figure[] {
  return [
    gauge("build_info", "Always 1; the labels say what runs.", () => [
      { labels: { version, database: database.dialect }, value: 1 },
    ]),
    gauge("ready", "1 while requests are taken, 0 before that and while the process ends.", () =>
      Number(health.isServing()),
    ),
    gauge("requests_waiting", "Requests that wait to be begun.", () => admission.waitingCount),
    counter(
      "requests_refused_total",
      "Requests that were refused because there was more to do than could be done.",
      () => admission.refusedCount,
    ),
    counter("log_lines_lost_total", "Lines of the log that could not be written.", () => logOutput.lostCount),
  ];
}

function listDatabaseFigures(database: FigureSources["database"]): Figure[] {
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

function listQueueFigures({ feed, audit, usage, mailer, watch, swept }: FigureSources): Figure[] {
  return [
    gauge(
      "change_feed_age_seconds",
      "Seconds since this process knew of every change; beyond 2 its caches step aside.",
      () => feed.secondsSinceConfirmed ?? Number.NaN,
    ),
    gauge("audit_records_waiting", "Audit records that wait to be written.", () => audit.waitingCount),
    counter(
      "audit_records_lost_total",
      "Audit records that could not be kept. More than 0 is worth an alarm.",
      () => audit.lostCount,
    ),
    gauge("usage_counts_waiting", "Counts of use that wait to be written.", () => usage.waitingCount),
    counter("usage_calls_lost_total", "Calls that went uncounted.", () => usage.lostCalls),
    gauge("mail_available", "1 while mail can be sent, 0 from a failure until the mail server is back.", () =>
      Number(mailer.isAvailable()),
    ),
    gauge(
      "mails_waiting",
      "Mails on their way, those that are tried again among them.",
      () => mailer.figures().waiting,
    ),
    counter("mails_total", "Mails by what became of them.", () => {
      const { accepted, failed } = mailer.figures();
      return byLabel("result", { accepted, failed });
    }),
    gauge("watch_streams", "Open streams of WatchAuthProviders.", () => watch.size),
    counter("swept_rows_total", "Rows that were removed because their time was over.", () =>
      byLabel("kind", swept.read()),
    ),
  ];
}

/**
 * While the feed is in doubt the keys that were seen last are shown: asking a
 * database that is away would hold up all figures when they are needed most.
 */
function listKeyFigures({ keyring, feed, clock }: FigureSources): Figure[] {
  let seen: SigningKeys | undefined;
  const read = async (pick: (schedule: SigningSchedule) => Date): Promise<number> => {
    if (feed.isConfirmed()) seen = await keyring.get().catch(() => seen);
    const schedule = seen?.findSchedule(clock.now());
    return schedule === undefined ? Number.NaN : pick(schedule).getTime() / 1000;
  };
  return [
    gauge("signing_key_since_timestamp_seconds", "Since when the signing key signs, as Unix time.", () =>
      read(({ signsFromAt }) => signsFromAt),
    ),
    gauge(
      "signing_key_rotation_timestamp_seconds",
      "When its successor will sign, as Unix time. In the past, rotation is overdue.",
      () => read(({ nextSignsFromAt }) => nextSignsFromAt),
    ),
  ];
}

function listRefusalFigures({ limits, fetches }: FigureSources): Figure[] {
  return [
    counter(
      "limit_refusals_total",
      "What was refused because a limit was used up, by the limit; silent refusals count as well.",
      () => byLabel("limit", limits.read()),
    ),
    counter(
      "fetches_total",
      "Outgoing fetches, by the class of their status or the reason for which there is none.",
      () => byLabel("result", fetches.read()),
    ),
  ];
}

function listCacheFigures(caches: FigureSources["caches"]): Figure[] {
  const each = (pick: (cache: { size: number; loadCount: number }) => number) =>
    byLabel("cache", Object.fromEntries(Object.entries(caches).map(([name, cache]) => [name, pick(cache)])));
  return [
    gauge("cache_entries", "Entries of a cache.", () => each(({ size }) => size)),
    counter("cache_loads_total", "Look-ups that the cache had no answer for.", () =>
      each(({ loadCount }) => loadCount),
    ),
  ];
}

function listTraceFigures(tracing: FigureSources["tracing"]): Figure[] {
  if (tracing === undefined) return [];
  return [
    counter(
      "trace_spans_total",
      "Spans that the collector took, and those that were lost on the way.",
      () => {
        const { exported, lost } = tracing.figures();
        return byLabel("result", { exported, lost });
      },
    ),
    gauge("trace_spans_waiting", "Spans that wait to be exported.", () => tracing.figures().waiting),
  ];
}
