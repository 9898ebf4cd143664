import { setImmediate as nextTurn } from "node:timers/promises";

/**
 * How many rows one transaction of a sweep takes: a millisecond's worth. With
 * 200, the commits that write the log back held everybody up for over 20 ms.
 */
export const rowsPerBatch = 40;

/**
 * Removes rows batch by batch until none are left, and lets others have their
 * turn in between: nobody waits longer than for one batch.
 *
 * @param removeBatch removes up to `limit` rows in a transaction of its own, and answers how many there were.
 */
export async function sweepInBatches(removeBatch: (limit: number) => Promise<number>): Promise<void> {
  while ((await removeBatch(rowsPerBatch)) === rowsPerBatch) await nextTurn();
}
