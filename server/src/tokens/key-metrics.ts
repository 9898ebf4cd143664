import { gauge, type Metric } from "../assembly/metric.ts";
import type { Clock } from "../lib/clock.ts";
import type { KeyringSnapshot, SigningSchedule } from "./keyring.ts";

/** Keys and feed, as far as their metrics look at them. */
export interface KeyMetricSources {
  readonly keyring: { get(): Promise<Pick<KeyringSnapshot, "findSchedule">> };
  readonly feed: { isConfirmed(): boolean };
  readonly clock: Clock;
}

/**
 * When signing keys change over. While the feed is in doubt the keys that were
 * seen last are shown: asking a database that is away would hold up all metrics
 * when they are needed most.
 */
export function listKeyMetrics({ keyring, feed, clock }: KeyMetricSources): Metric[] {
  let seen: Pick<KeyringSnapshot, "findSchedule"> | undefined;
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
