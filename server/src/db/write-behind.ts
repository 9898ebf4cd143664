/**
 * What is noted off the hot path: each at most once in a while, gathered in
 * memory and written together, some in a transaction.
 *
 * Noting never waits and never throws. What cannot be written waits for the
 * next time, unless too much waits already; at a crash the last fraction of a
 * second is lost. So it is for what is only shown to people, or what this
 * process knows by itself.
 */
import { type Clock, clockSlackMs } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { createLru } from "../lib/lru.ts";
import type { Database, Tx } from "./database.ts";
import { prepared } from "./prepared.ts";

/** What was noted, and when the last time. */
export type Noted<T> = T & { readonly at: Date };

/** What is written later, where, and how often of the same thing. */
export interface WriteBehindOptions<T> {
  readonly database: Pick<Database, "transaction">;
  readonly clock: Clock;
  readonly log: Log;
  /** For the log: `the last use of sessions`. */
  readonly what: string;
  /** What is the same has the same key. */
  readonly keyOf: (note: T) => string;
  /** What is the same is noted again after as many milliseconds. */
  readonly everyMs: number;
  /** Writes some of what was noted; they come in the order of their keys, so that processes do not wait crosswise. */
  readonly write: (tx: Tx, notes: readonly Noted<T>[]) => Promise<void>;
  /** How long what was noted waits for more, in milliseconds. */
  readonly flushAfterMs?: number;
}

/** How much is remembered to have been noted, and how much waits at most. */
const maxRemembered = 50_000;
const maxPending = 20_000;

/** How much one transaction takes: some milliseconds' worth. */
const perTransaction = 100;

/** @see the head of this file */
export class WriteBehind<T extends object> {
  readonly #options: WriteBehindOptions<T>;
  /** When each was last noted, in milliseconds since the epoch. */
  readonly #noted = createLru<string, number>(maxRemembered);
  #pending = new Map<string, Noted<T>>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  /** What follows on that, however often it is asked for: a slow database hears of one at a time. */
  #next: Promise<void> | undefined;
  #isFailing = false;

  constructor(options: WriteBehindOptions<T>) {
    this.#options = options;
  }

  /** Notes it as of now, unless it was a short while ago. @param lastAt when that was, if this process does not know */
  note(note: T, lastAt?: Date): void {
    const { clock, keyOf, everyMs, flushAfterMs = 250 } = this.#options;
    const at = clock.now();
    const key = keyOf(note);
    const lastMs = this.#noted.get(key) ?? lastAt?.getTime();
    // A clock that was set back is as good a reason as time that has passed.
    if (lastMs !== undefined && Math.abs(at.getTime() - lastMs) < everyMs) return;
    this.#noted.set(key, at.getTime());
    if (this.#pending.size >= maxPending) return;
    this.#pending.set(key, { ...note, at });
    this.#timer ??= setTimeout(() => void this.flush(), flushAfterMs).unref();
  }

  /** Whether this process has noted it, however long ago; the least used are forgotten first. */
  has(note: T): boolean {
    return this.#noted.get(this.#options.keyOf(note)) !== undefined;
  }

  /** Writes what waits. Never rejects. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#next ??= this.#writing.then(() => {
      this.#next = undefined;
      this.#writing = this.#write();
      return this.#writing;
    });
    await this.#next;
  }

  async #write(): Promise<void> {
    const { database, log, what, write } = this.#options;
    const taken = [...this.#pending].toSorted(([one], [other]) => (one < other ? -1 : 1));
    this.#pending = new Map();
    let written = 0;
    try {
      for (; written < taken.length; written += perTransaction) {
        const part = taken.slice(written, written + perTransaction).map(([, note]) => note);
        await database.transaction((tx) => write(tx, part));
        this.#isFailing = false;
      }
    } catch (err) {
      this.#pending = new Map([...taken.slice(written), ...this.#pending]);
      if (!this.#isFailing) log.warn({ err }, `${what} could not be noted; will try again`);
      this.#isFailing = true;
    }
  }
}

/** Notes when rows are used, to a minute. */
export type LastUses = WriteBehind<{ readonly id: string }>;

/** Makes what notes uses. @param of what they are, for the log: `sessions` */
export function createLastUses(
  { database, clock, log }: Pick<WriteBehindOptions<object>, "database" | "clock" | "log">,
  of: string,
  write: (tx: Tx, uses: readonly { readonly id: string; readonly at: Date }[]) => Promise<void>,
): LastUses {
  const what = `the last use of ${of}`;
  return new WriteBehind({
    database,
    clock,
    log,
    what,
    keyOf: ({ id }: { id: string }) => id,
    everyMs: 60_000,
    write,
  });
}

/** Tables whose rows say when they were last used. */
type UsedTable = "auth_provider_api_keys" | "proxy_tokens" | "gate_sessions";

/** Makes what writes last uses into a table: an older one changes nothing, unless a clock ran ahead. */
export function touchLastUses(
  table: UsedTable,
): (tx: Tx, uses: readonly { readonly id: string; readonly at: Date }[]) => Promise<void> {
  const touch = prepared((database, row: { id: string; atMs: number; aheadMs: number }) =>
    database
      .updateTable(table)
      .set({ last_used_at: row.atMs })
      .where("id", "=", row.id)
      .where((eb) =>
        eb.or([
          eb("last_used_at", "is", null),
          eb("last_used_at", "<", row.atMs),
          eb("last_used_at", ">", row.aheadMs),
        ]),
      ),
  );
  return async (tx, uses) => {
    for (const { id, at } of uses) {
      const atMs = at.getTime();
      await touch.run(tx, { id, atMs, aheadMs: atMs + clockSlackMs });
    }
  };
}
