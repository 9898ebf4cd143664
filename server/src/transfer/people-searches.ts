/**
 * What imported people are found by.
 *
 * On Postgres it is stored with them. On SQLite, where one person's goes to a
 * dozen and a half pages of their own, it is stored afterwards, for a hundred
 * thousand of them in the order of the index. Until then they stand in the
 * backlog, which an import that is killed leaves to the next one, or to a
 * server. What somebody else changes or deletes meanwhile is left to be read
 * anew: nothing that is stored here is ever wrong, it only comes late.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { findLastChange, isUnbroken, listChangesFrom, type StoredChange } from "../changes/change-store.ts";
import type { Database, Tx } from "../db/database.ts";
import type { SearchBacklogRow } from "../db/schema.ts";
import { insertSearchEntries, SearchPile, toEntryId } from "../db/search-pile.ts";
import { addSearches } from "../db/search-prefixes.ts";
import type { Clock } from "../lib/clock.ts";
import {
  deleteUnsearched,
  finishSearches,
  listUnsearched,
  noteUnsearched,
} from "../users/search-backlog-store.ts";
import { toSearchable } from "../users/store.ts";
import type { User } from "../users/user.ts";
import { again, pauseMs } from "./pace.ts";

/** How many people wait for each other at most: the more, the less each costs, and the more memory they take. */
const mostWaiting = 100_000;

/** How many people one transaction strikes off the backlog. */
const peopleAtOnce = 5_000;

/** How many people a transaction sees to one by one, and how many of the backlog are read at once. */
const leftAtOnce = 500;

/** People who were stored, and what has changed since the first of them was. */
class Waiting {
  readonly pile = new SearchPile("user");
  readonly unsearched: SearchBacklogRow[] = [];
  readonly #changed = new Set<string>();
  #last: StoredChange | undefined;

  constructor(last: StoredChange | undefined) {
    this.#last = last;
  }

  /** Looks who has changed. False when that cannot be told any more. */
  async look(tx: Tx): Promise<boolean> {
    for (;;) {
      const changes = await listChangesFrom(tx, this.#last?.seq ?? 0);
      if (!isUnbroken(this.#last, changes)) return false;
      for (const { topic, subject } of changes) if (topic === "user") this.#changed.add(subject);
      const last = changes.at(-1);
      if (last === undefined || last.seq === this.#last?.seq) return true;
      this.#last = last;
    }
  }

  /** Those of some that are of nobody who has changed. */
  leaveUnchanged<T>(each: readonly T[], toId: (one: T) => string): readonly T[] {
    if (this.#changed.size === 0) return each;
    return each.filter((one) => !this.#changed.has(toId(one)));
  }
}

/** What searches stand on. */
export interface PeopleSearchesParts {
  readonly database: Database;
  readonly clock: Clock;
  /** How many entries one transaction stores. */
  readonly entriesAtOnce?: number;
}

/** @see the head of this file */
export class PeopleSearches {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #entriesAtOnce: number;
  #waiting: Waiting | undefined;

  constructor(parts: PeopleSearchesParts) {
    this.#database = parts.database;
    this.#clock = parts.clock;
    this.#entriesAtOnce = parts.entriesAtOnce ?? 20_000;
  }

  /** Takes people who are stored by `tx`. */
  async add(tx: Tx, users: readonly User[]): Promise<void> {
    const rows = users.map(toSearchable);
    if (this.#database.dialect === "postgres") {
      await addSearches(tx, "user", rows);
      return;
    }
    const at = this.#clock.now().getTime();
    const unsearched = rows.map(({ id }) => ({ at, id }));
    await noteUnsearched(tx, unsearched);
    const waiting = this.#waiting ?? new Waiting(await findLastChange(tx));
    this.#database.afterCommit(tx, () => {
      this.#waiting = waiting;
      waiting.pile.add(rows);
      waiting.unsearched.push(...unsearched);
    });
  }

  /** Stores what waits once there is enough of it; behind the last of a run all, what others have left included. */
  async settle(isLast: boolean): Promise<void> {
    const waiting = this.#waiting;
    if (waiting !== undefined && (isLast || waiting.pile.size >= mostWaiting)) {
      this.#waiting = undefined;
      await this.#store(waiting);
    }
    if (isLast) await this.#finishLeft();
  }

  /** False where it cannot be told who has changed, and who waited is left in the backlog. */
  async #store(waiting: Waiting): Promise<boolean> {
    for (const { kind, entries } of waiting.pile.list(this.#entriesAtOnce)) {
      const isStored = await this.#transact(async (tx) => {
        if (!(await waiting.look(tx))) return false;
        await insertSearchEntries(tx, { kind, entries: waiting.leaveUnchanged(entries, toEntryId) });
        return true;
      });
      if (!isStored) return false;
      await sleep(pauseMs);
    }
    const found = waiting.leaveUnchanged(waiting.unsearched, ({ id }) => id);
    for (let from = 0; from < found.length; from += peopleAtOnce) {
      const some = found.slice(from, from + peopleAtOnce);
      await this.#transact((tx) => deleteUnsearched(tx, some));
      await sleep(pauseMs);
    }
    return true;
  }

  /** Sees to those whom others have left, and to those who changed: many in order as well, few one by one. */
  async #finishLeft(): Promise<void> {
    const until = this.#clock.now();
    for (;;) {
      const left = await this.#collectLeft(until);
      if (left.unsearched.length < leftAtOnce || !(await this.#store(left))) break;
    }
    for (;;) {
      const finished = await this.#transact((tx) => finishSearches(tx, until, leftAtOnce));
      if (finished < leftAtOnce) return;
      await sleep(pauseMs);
    }
  }

  #transact<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return again(() => this.#database.transaction(work));
  }

  async #collectLeft(until: Date): Promise<Waiting> {
    const { reader, dialect } = this.#database;
    const left = new Waiting(await findLastChange(reader));
    let after = { at: 0, id: "" };
    while (dialect === "sqlite" && left.unsearched.length < mostWaiting) {
      const { rows, users } = await listUnsearched(reader, after, until, leftAtOnce);
      left.pile.add(users.map(toSearchable));
      left.unsearched.push(...rows);
      if (rows.length < leftAtOnce) break;
      after = rows.at(-1) ?? after;
    }
    return left;
  }
}
