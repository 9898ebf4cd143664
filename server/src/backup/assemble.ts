import { gauge } from "../assembly/metric.ts";
import type { Room } from "../assembly/room.ts";
import type { Database } from "../db/database.ts";
import { oneAtATime } from "../lib/one-at-a-time.ts";
import { findLastBackup } from "./last-backup.ts";

/**
 * Shows when the last backup was made, as it was found after the metrics were
 * read before: nobody waits for the database to read them, who may read them
 * since it is away.
 */
export function assembleBackup({ database }: { readonly database: Pick<Database, "reader"> }): Room {
  let seconds: number | undefined;
  const look = oneAtATime(async () => {
    try {
      seconds = ((await findLastBackup(database.reader))?.at.getTime() ?? 0) / 1000;
    } catch {
      // Without the database what was found last stands.
    }
  });
  return {
    start: () => void look(),
    metrics: [
      gauge(
        "last_backup_timestamp_seconds",
        "When the last backup was made that `vestibule backup` finished; 0 before the first.",
        () => {
          void look();
          // Nothing is said before it is known: 0 would be an alarm.
          return seconds === undefined ? [] : [{ labels: {}, value: seconds }];
        },
      ),
    ],
  };
}
