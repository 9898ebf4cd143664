import { gauge } from "../assembly/metric.ts";
import type { Room } from "../assembly/room.ts";
import type { Database } from "../db/database.ts";
import { findLastBackup } from "./last-backup.ts";

/** Shows when the last backup was made. */
export function assembleBackup({ database }: { readonly database: Pick<Database, "reader"> }): Room {
  return {
    metrics: [
      gauge(
        "last_backup_timestamp_seconds",
        "When the last backup was made that `vestibule backup` finished; 0 before the first.",
        async () => ((await findLastBackup(database.reader))?.at.getTime() ?? 0) / 1000,
      ),
    ],
  };
}
