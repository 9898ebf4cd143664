import { gauge } from "../assembly/metric.ts";
import type { Room } from "../assembly/room.ts";
import type { ChangeFeed } from "./feed.ts";

/** The change feed, which the storage has made: read from now on. */
export async function assembleChanges(
  feed: Pick<ChangeFeed, "start" | "stop" | "secondsSinceConfirmed">,
): Promise<Room> {
  await feed.start();
  return {
    metrics: [
      gauge(
        "change_feed_age_seconds",
        "Seconds since this process knew of every change; beyond 2 its caches step aside.",
        () => feed.secondsSinceConfirmed ?? Number.NaN,
      ),
    ],
    closing: [{ name: "change feed", moment: "changes", ms: 1_000, run: () => feed.stop() }],
  };
}
