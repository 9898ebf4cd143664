/**
 * Copying a database to another place, of whichever kind, so that it is served
 * there from then on and here no more.
 *
 * It goes on after any kill, for how far it came shows in the target itself
 * (`level-rows.ts`). What a copy has to keep in mind is in both databases
 * (`db/moves.ts`): the target lets no server in until all of it is there, and
 * the source none from a moment before.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { insertChanges } from "../changes/change-store.ts";
import { continueCounting, readLastCounted, removeAllRows } from "../db/carried-rows.ts";
import type { Reader, Tx } from "../db/database.ts";
import { isLockRefused, isSqliteBusy } from "../db/errors.ts";
import type { OpenDatabase } from "../db/kysely-database.ts";
import { holdMigrations, isEmptyInside, migrateInside } from "../db/migrate.ts";
import {
  allowWrites,
  endMove,
  findMove,
  holdMove,
  lockTables,
  type Move,
  noteMove,
  refuseWrites,
} from "../db/moves.ts";
import { type OpenDatabaseOptions, openDatabase } from "../db/open-database.ts";
import { AlreadyServedError, acquireServerLock } from "../db/server-lock.ts";
import { readSnapshot } from "../db/snapshot.ts";
import { readTableShapes } from "../db/table-shapes.ts";
import type { Clock } from "../lib/clock.ts";
import { silentLog } from "../lib/log.ts";
import { CopyError } from "./errors.ts";
import { type LevelTable, levelRows, type TablePair } from "./level-rows.ts";
import { inspect, refuseTarget, requireSchema, requireSource, toPlace } from "./places.ts";

/** What a copy takes. */
export interface CopyOptions {
  /** Address of the source. */
  readonly from: string;
  /** Address of the target: empty, or where a copy of this source was interrupted. */
  readonly to: string;
  /** Whether servers may write to the source until the last of it is copied. */
  readonly isOnline: boolean;
  /** Holds the keys against the source, before anything is done. */
  readonly verifyKeys: (reader: Reader) => Promise<unknown>;
  readonly clock: Clock;
  /** Hears how many rows of about how many are there. What it throws ends the copy, to be gone on with later. */
  readonly onProgress: (rows: number, all: number) => void;
}

/** A copy that is whole. */
export interface MadeCopy {
  readonly tables: readonly LevelTable[];
  /** For how long nobody could write to the source. */
  readonly lockedMs: number;
}

/** How often the lock of a source that is written to is asked for, how long each time, and how long in between. */
const [mostTries, lockWaitMs, pauseMs] = [60, 200, 100];

/**
 * Copies a database, and has servers refuse the one that it is copied from.
 *
 * @throws CopyError, DatabaseRefusedError where nothing was changed, or where the copy is to be gone on with
 */
export async function copyDatabase(options: CopyOptions): Promise<MadeCopy> {
  const { from, to, isOnline, verifyKeys } = options;
  const ends: (() => unknown)[] = [];
  try {
    const move = await inspect(from, "the source", async (found) => {
      const reader = await requireSource(found);
      await verifyKeys(reader);
      return await findMove(reader);
    });
    if (!isOnline) ends.push(lockServers(from, "or copy it with --online"));
    await inspect(to, "the target", (reader) => refuseTarget(reader, move));
    ends.push(lockServers(to, "for it serves what is to be replaced"));
    const source = await open(from);
    ends.push(() => source.close());
    // What is lost when its machine fails is written by the next run.
    const target = await open(to, { mayLoseLast: true });
    ends.push(() => target.close());
    const copy = new Copy(source, target, options);
    await copy.begin();
    if (isOnline) await copy.copyBeside();
    return await copy.finish();
  } finally {
    for (const end of ends.toReversed()) await end();
  }
}

/**
 * Has servers take a database again that was copied to another place. What was
 * written there since is not here.
 *
 * @throws CopyError where nothing was copied from here
 */
export async function takeBack(url: string): Promise<Move> {
  const requireLeft = (move: Move | undefined): Move => {
    if (move !== undefined && move.state !== "arriving") return move;
    throw new CopyError("there is nothing to take back: it was not copied to another place");
  };
  await inspect(url, "the database", async (reader) => requireLeft(reader && (await findMove(reader))));
  const database = await open(url);
  try {
    return await database.transaction(async (tx) => {
      await holdMigrations(tx);
      const move = requireLeft(await findMove(tx));
      await allowWrites(tx);
      await endMove(tx);
      return move;
    });
  } finally {
    await database.close();
  }
}

/** Statements and transactions may take as long as they need. */
async function open(url: string, more: Pick<OpenDatabaseOptions, "mayLoseLast"> = {}): Promise<OpenDatabase> {
  const times = { statementTimeoutMs: 0, idleTransactionMs: 0 };
  return await openDatabase({ url, log: silentLog, poolSize: 2, ...times, ...more });
}

/** Keeps servers off an SQLite file. Answers what lets them in again. */
function lockServers(url: string, otherwise: string): () => void {
  try {
    const lock = acquireServerLock(url);
    return () => lock.release();
  } catch (error) {
    if (!(error instanceof AlreadyServedError)) throw error;
    throw new CopyError(`a server is running on ${toPlace(url)}: stop it, ${otherwise}`, { cause: error });
  }
}

function toNoMore(): CopyError {
  return new CopyError(
    "the source was taken back, or copied to another place meanwhile: this copy is not gone on with",
  );
}

class Copy {
  readonly #source: OpenDatabase;
  readonly #target: OpenDatabase;
  readonly #options: CopyOptions;
  #move: Move;

  constructor(source: OpenDatabase, target: OpenDatabase, options: CopyOptions) {
    this.#source = source;
    this.#target = target;
    this.#options = options;
    const [place, at] = [toPlace(options.to), options.clock.now()];
    this.#move = { copyId: randomUUID(), state: "leaving", place, at };
  }

  /** Notes the copy in both, and makes the tables of a target that has none. */
  async begin(): Promise<void> {
    await this.#target.transaction(async (tx) => {
      const isNew = await isEmptyInside(tx);
      // Before the target's is committed: whoever is killed in between finds it empty again.
      await this.#noteLeaving(isNew);
      if (!isNew) return await this.#requireArriving(tx);
      await migrateInside(tx);
      // What migrations put there is in the source as well.
      await removeAllRows(tx, await readTableShapes(tx));
      await noteMove(tx, { ...this.#move, state: "arriving", place: toPlace(this.#options.from) });
    });
  }

  /** Of an empty target the copy is one of its own: what was begun elsewhere is not gone on with any more. */
  async #noteLeaving(isNew: boolean): Promise<void> {
    await this.#whenFree(async (tx) => {
      // What another copy is about to end is read once that is over.
      await holdMigrations(tx);
      const before = await findMove(tx);
      if (before !== undefined && !isNew) {
        const { copyId, state, at } = before;
        this.#move = { ...this.#move, copyId, state, at: state === "moved" ? at : this.#move.at };
      } else if (before?.state === "moved") throw toNoMore();
      if (this.#move.state === "leaving") await noteMove(tx, this.#move);
    });
  }

  /** Copies what there is at one moment, beside servers that go on. */
  async copyBeside(): Promise<void> {
    await readSnapshot({ url: this.#options.from, log: silentLog }, (reader) => this.#level(reader));
  }

  /** Copies what is left while nobody writes, leaves the source, and only then opens the target. */
  async finish(): Promise<MadeCopy> {
    const made = await this.#whenFree(async (tx, hold) => {
      await holdMigrations(tx);
      if (!(await holdMove(tx, this.#move))) throw toNoMore();
      const isServed = this.#move.state === "leaving";
      // The lock that it takes comes before those of tables, as in every server.
      if (isServed) await this.#tellServers(tx);
      const tables = await readTableShapes(tx);
      await lockTables(tx, tables, lockWaitMs);
      hold();
      const lockedAt = performance.now();
      await requireSchema(tx);
      const level = await this.#level(tx);
      if (isServed) {
        await noteMove(tx, { ...this.#move, state: "moved", at: this.#options.clock.now() });
        await refuseWrites(tx, tables);
      }
      return { tables: level, lockedMs: performance.now() - lockedAt };
    });
    await this.#openTarget();
    return made;
  }

  /** With the last transaction all before it are on the disk. */
  async #openTarget(): Promise<void> {
    const target = await open(this.#options.to);
    try {
      await this.#write(endMove, target);
    } finally {
      await target.close();
    }
  }

  /** Servers that run on learn of it as of any change, once this is committed. */
  async #tellServers(tx: Tx): Promise<void> {
    const { place } = this.#move;
    await insertChanges(tx, [{ topic: "database", subject: place }], this.#options.clock.now());
  }

  async #level(source: Reader): Promise<readonly LevelTable[]> {
    const pairs = await this.#findPairs(source);
    const { onProgress } = this.#options;
    const write = (work: (tx: Tx) => Promise<void>) => this.#write(work);
    const level = await levelRows({ source, target: this.#target.reader, pairs, write, onProgress });
    for (const { from, to } of pairs) {
      const last = await readLastCounted(source, from);
      await this.#write((tx) => continueCounting(tx, to, last));
    }
    return level;
  }

  async #findPairs(source: Reader): Promise<readonly TablePair[]> {
    const there = new Map((await readTableShapes(this.#target.reader)).map((shape) => [shape.name, shape]));
    return (await readTableShapes(source)).map((from) => {
      const to = there.get(from.name);
      if (to === undefined)
        throw new CopyError(`the target has no table ${from.name}: empty it, and begin anew`);
      return { from, to };
    });
  }

  /** Writes to the target for as long as it waits for this copy. */
  async #write(work: (tx: Tx) => Promise<void>, target: OpenDatabase = this.#target): Promise<void> {
    await target.transaction(async (tx) => {
      await this.#requireArriving(tx);
      await work(tx);
    });
  }

  async #requireArriving(tx: Tx): Promise<void> {
    if (await holdMove(tx, { copyId: this.#move.copyId, state: "arriving" })) return;
    throw new CopyError(
      "the target was changed meanwhile, by another than this copy: nothing more is written there",
    );
  }

  /** Runs a transaction of the source, and tries again while somebody else writes and `hold` was not called. */
  async #whenFree<T>(work: (tx: Tx, hold: () => void) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      let isHeld = false;
      try {
        return await this.#source.transaction((tx) =>
          work(tx, () => {
            isHeld = true;
          }),
        );
      } catch (error) {
        if (isHeld || !(isLockRefused(error) || isSqliteBusy(error))) throw error;
        if (tries < mostTries) await sleep(pauseMs);
        else
          throw new CopyError("the source is written to without a pause: stop its servers, and copy again");
      }
    }
  }
}
