/**
 * Sealing everything anew under the first encryption key, so that the others
 * can be forgotten.
 *
 * Goes through the sealed columns in batches, each a transaction of its own, so
 * that servers go on meanwhile: a value that somebody changed since it was read
 * is left as they made it. Only when nothing sealed with another key is left
 * are the recorded checks of those keys removed, and in one transaction with
 * the look.
 */
import type { Database, Tx } from "../db/database.ts";
import { lockForTransaction } from "../db/dialect.ts";
import { keyCheckLockKey } from "./key-checks.ts";
import {
  findSealedOtherwise,
  isAnySealedOtherwise,
  replaceSealed,
  type SealedRow,
} from "./sealed-column-store.ts";
import { placeOf, type SealedColumn, type Sealer } from "./sealer.ts";
import { findKeyChecks, removeKeyCheck } from "./store.ts";

/** A value cannot be sealed anew, or another process goes on sealing with another key. */
export class ReencryptionError extends Error {
  override readonly name = "ReencryptionError";
}

/** Where sealed values are, and who seals them anew. */
export interface ReencryptionOptions {
  readonly database: Database;
  readonly sealer: Sealer;
  /** Every column that holds sealed values. */
  readonly columns: readonly SealedColumn[];
  /** Records that a key was retired, with the transaction that does it. */
  readonly recordRetired: (tx: Tx, keyId: string) => Promise<void>;
  /** How many rows one transaction takes. */
  readonly rowsPerTransaction?: number;
}

/** What was done. */
export interface Reencryption {
  /** Rows sealed anew, by `<table>.<column>`. */
  readonly rows: ReadonlyMap<string, number>;
  /** Ids of the keys that nothing is sealed with any more. */
  readonly retiredKeyIds: readonly string[];
}

/**
 * Seals everything anew that was sealed with another key than the first, then
 * forgets the others. Done again, it goes on where it was interrupted.
 *
 * @throws ReencryptionError; what was sealed anew until then stays so, and no key is forgotten.
 */
export async function reencrypt(options: ReencryptionOptions): Promise<Reencryption> {
  const rows = new Map<string, number>();
  for (const sealed of options.columns) {
    rows.set(`${sealed.table}.${sealed.column}`, await resealColumn(options, sealed));
  }
  return { rows, retiredKeyIds: await retireKeys(options) };
}

async function resealColumn(
  { database, sealer, rowsPerTransaction = 100 }: ReencryptionOptions,
  sealed: SealedColumn,
): Promise<number> {
  let count = 0;
  let after: SealedRow["key"] | undefined;
  for (;;) {
    const rows = await database.transaction(async (tx) => {
      const batch = await findSealedOtherwise(tx, sealed, sealer.keyId, { after, limit: rowsPerTransaction });
      for (const row of batch) await replaceSealed(tx, sealed, row, reseal(sealer, sealed, row));
      return batch;
    });
    count += rows.length;
    after = rows.at(-1)?.key;
    if (rows.length < rowsPerTransaction) return count;
  }
}

function reseal(sealer: Sealer, sealed: SealedColumn, row: SealedRow): string {
  const { table, column, byProperty } = sealed;
  const anew = (text: string, property?: string): string => {
    const place = placeOf(sealed, row.key, property);
    return sealer.seal(place, sealer.open(place, text));
  };
  try {
    if (byProperty === undefined) return anew(row.sealed);
    const entries = Object.entries(byProperty.decode(row.sealed));
    return byProperty.encode(Object.fromEntries(entries.map(([name, text]) => [name, anew(text, name)])));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ReencryptionError(`${table}.${column} of ${row.key.join(", ")} cannot be opened: ${why}`, {
      cause,
    });
  }
}

async function retireKeys({
  database,
  sealer,
  columns,
  recordRetired,
}: ReencryptionOptions): Promise<string[]> {
  return await database.transaction(async (tx) => {
    await lockForTransaction(tx, keyCheckLockKey);
    for (const sealed of columns) {
      if (!(await isAnySealedOtherwise(tx, sealed, [sealer.keyId]))) continue;
      throw new ReencryptionError(
        `${sealed.table}: something has just been sealed with another key; restart every server with the new key first, then run this again`,
      );
    }
    const others = (await findKeyChecks(tx, "encryption")).filter(({ keyId }) => keyId !== sealer.keyId);
    for (const { purpose, keyId } of others) {
      await removeKeyCheck(tx, purpose, keyId);
      await recordRetired(tx, keyId);
    }
    return others.map(({ keyId }) => keyId);
  });
}
