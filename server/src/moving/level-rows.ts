/**
 * Making the rows of one database those of another, whatever is there already.
 * Nothing is kept of how far that came: what is equal is left alone, so whoever
 * is killed begins again and goes on.
 */
import {
  type CarriedRow,
  countRows,
  findSameKeyed,
  putRows,
  RowDigest,
  readRows,
  removeAllRows,
  removeSameKeyed,
  toKeyShape,
  withoutTransactions,
} from "../db/carried-rows.ts";
import type { Reader, Tx } from "../db/database.ts";
import { dialectOf } from "../db/dialect.ts";
import { isUniqueViolation } from "../db/errors.ts";
import type { TableShape } from "../db/table-shapes.ts";
import { CopyError } from "./errors.ts";

/** A table as either database has it: only keys and counted columns differ. */
export interface TablePair {
  readonly from: TableShape;
  readonly to: TableShape;
}

/** What a table came to, in both. */
export interface LevelTable {
  readonly name: string;
  readonly rows: number;
  readonly digest: string;
}

/** Two databases of the same schema, of which nobody else writes to the second. */
export interface LevelOptions {
  /** Of one moment: a snapshot, or nobody writes to it. */
  readonly source: Reader;
  readonly target: Reader;
  /** Those that are referred to before those that refer. */
  readonly pairs: readonly TablePair[];
  /** A transaction of the target. */
  readonly write: (work: (tx: Tx) => Promise<void>) => Promise<void>;
  /** Hears how many rows of about how many are there. What it throws ends the work between two transactions. */
  readonly onProgress: (rows: number, all: number) => void;
}

/** How many keys are looked up at once where rows are too many; one of the two may have no index for them. */
const keysAtOnce = 5000;

/**
 * Levels all tables, and ends once it has seen of each that every row of the
 * source is in the target as it is, and no other.
 *
 * @throws CopyError for rows that the target does not keep as they are
 */
export async function levelRows(options: LevelOptions): Promise<readonly LevelTable[]> {
  return await new Leveller(options).run();
}

class Leveller {
  readonly #options: LevelOptions;
  /** Whether both number transactions, and the same ones. */
  readonly #isSameKind: boolean;
  /** How many rows of each table were seen, for progress: those that are written are seen twice. */
  readonly #done = new Map<string, number>();
  #all = 0;

  constructor(options: LevelOptions) {
    this.#options = options;
    const { source, target } = options;
    this.#isSameKind = dialectOf(source) === "postgres" && dialectOf(target) === "postgres";
  }

  async run(): Promise<readonly LevelTable[]> {
    const { source, pairs } = this.#options;
    for (const { from } of pairs) this.#all += await countRows(source, [from]);
    const found = await this.#passFirst();
    const left = pairs.filter(({ to }) => !found.has(to.name));
    for (const [name, table] of await this.#pass(left)) found.set(name, table);
    return pairs.map(({ to: { name } }) => {
      const table = found.get(name);
      if (table === undefined) throw new CopyError(`${name}: what is read there is not what was written`);
      return table;
    });
  }

  /** A new row may need what another has that is to go, or rows have given each other what only one may have. */
  async #passFirst(): Promise<Map<string, LevelTable>> {
    const { pairs } = this.#options;
    const clearing = [
      async () => {
        for (const pair of pairs.toReversed()) await this.#removeOthers(pair);
      },
      async () => {
        const tables = pairs.map(({ to }) => to);
        await this.#options.write((tx) => removeAllRows(tx, tables));
      },
    ];
    for (const clear of clearing) {
      try {
        return await this.#pass(pairs);
      } catch (error) {
        if (!isUniqueViolation(error)) throw error;
        this.#done.clear();
        await clear();
      }
    }
    return await this.#pass(pairs);
  }

  /** Levels each table once. @returns those where there was nothing to do, by name */
  async #pass(pairs: readonly TablePair[]): Promise<Map<string, LevelTable>> {
    const [found, unequal] = [new Map<string, LevelTable>(), [] as TablePair[]];
    for (const pair of pairs) {
      const { table, isAsItWas } = await this.#writeMissing(pair);
      const isAlone = (await countRows(this.#options.target, [pair.to])) === table.rows;
      if (!isAlone) unequal.push(pair);
      if (!isAlone || !isAsItWas) continue;
      found.set(table.name, table);
      this.#tell(table.name, 2 * table.rows);
    }
    // Those that refer first.
    for (const pair of unequal.toReversed()) await this.#removeOthers(pair);
    return found;
  }

  /** Writes what the target has not, or has otherwise. */
  async #writeMissing({ from, to }: TablePair): Promise<{ table: LevelTable; isAsItWas: boolean }> {
    const { source, target, write } = this.#options;
    const digest = new RowDigest(to);
    const isEmpty = (await countRows(target, [to])) === 0;
    const seen = this.#done.get(to.name) ?? 0;
    let isAsItWas = true;
    for await (const page of readRows(source, from)) {
      const rows = this.#isSameKind ? page : withoutTransactions(to, page);
      const there = new Set(isEmpty ? [] : (await findSameKeyed(target, to, rows)).map(toText));
      const missing = rows.filter((row) => !there.has(toText(row)));
      if (missing.length > 0) {
        await write((tx) => putRows(tx, to, missing));
        isAsItWas = false;
      }
      digest.add(rows);
      this.#tell(to.name, seen + digest.read().rows);
    }
    return { table: { name: to.name, ...digest.read() }, isAsItWas };
  }

  /** Removes what the source has not. */
  async #removeOthers({ from, to }: TablePair): Promise<void> {
    const { source, target, write } = this.#options;
    const key = toKeyShape(to);
    const sameKey = { ...key, name: from.name };
    for await (const rows of readRows(target, key, keysAtOnce)) {
      const kept = new Set((await findSameKeyed(source, sameKey, rows)).map(toText));
      const others = rows.filter((row) => !kept.has(toText(row)));
      if (others.length > 0) await write((tx) => removeSameKeyed(tx, key, others));
      this.#tell(to.name, this.#done.get(to.name) ?? 0);
    }
  }

  #tell(name: string, rows: number): void {
    this.#done.set(name, rows);
    let done = 0;
    for (const each of this.#done.values()) done += each;
    this.#options.onProgress(done / 2, this.#all);
  }
}

const toText = (row: CarriedRow): string => JSON.stringify(row);
