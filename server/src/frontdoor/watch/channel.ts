import type { Reader } from "../../db/database.ts";
import { type ChangePlace, findChangePlace, isSamePlace } from "../frontdoors/store.ts";
import type { ProviderChange } from "../providers/provider.ts";
import { findChangesAfter, type StoredChange } from "./store.ts";

/** Which frontdoor's changes are read, and who hears of them. */
export interface ChannelOptions {
  readonly reader: Reader;
  readonly frontdoorId: string;
  /** Called when there are changes to be had, or the frontdoor is gone. Must not throw. */
  readonly onNews: (news: { readonly isGone: boolean }) => void;
}

/** Changes of one read, and how many, in number and characters, are kept for all who watch. */
const changesPerRead = 100;
const maxKept = 256;
const maxKeptSize = 1024 * 1024;

/** The changes of one frontdoor in one process: the newest in memory, the others in the table. */
export class Channel {
  readonly frontdoorId: string;
  /** How many watch. */
  watchers = 0;
  readonly #options: ChannelOptions;
  /** The newest, without a gap; the last one is at `#head`. */
  #kept: StoredChange[] = [];
  #keptSize = 0;
  /** The place before the first of them. */
  #base: ChangePlace | undefined;
  /** Place of the newest change that is known here. */
  #head: ChangePlace | undefined;
  #reading: Promise<void> | undefined;
  #isStale = false;

  constructor(options: ChannelOptions) {
    this.#options = options;
    this.frontdoorId = options.frontdoorId;
  }

  /**
   * Reads what is new, with a read that begins after this call; calls made
   * meanwhile share one more. Never rejects: what could not be read is read
   * with the next change or by a watcher.
   */
  refresh(): Promise<void> {
    this.#isStale = true;
    this.#reading ??= this.#readWhileStale().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  /**
   * Changes after a place, some at a time; none when there are none. Undefined
   * when they have been removed, or the place never was.
   *
   * @throws DomainError UNAVAILABLE
   */
  async changesAfter(place: ChangePlace): Promise<readonly ProviderChange[] | undefined> {
    if (this.#head !== undefined && isSamePlace(place, this.#head)) return [];
    const at = place.seq - (this.#base?.seq ?? 0);
    const known = at === 0 ? this.#base : this.#kept[at - 1]?.change;
    if (known !== undefined && isSamePlace(place, known)) {
      return this.#kept.slice(at, at + changesPerRead).map(({ change }) => change);
    }
    const { reader } = this.#options;
    const found = await findChangesAfter(reader, this.frontdoorId, place, changesPerRead);
    if (found !== undefined && found.length > 0) return found.map(({ change }) => change);
    const newest = await findChangePlace(reader, this.frontdoorId);
    return newest !== undefined && isSamePlace(place, newest) ? [] : undefined;
  }

  async #readWhileStale(): Promise<void> {
    while (this.#isStale) {
      this.#isStale = false;
      try {
        await this.#read();
      } catch {
        // The next change, or a watcher's own read, finds what this one did not.
        this.#options.onNews({ isGone: false });
      }
    }
  }

  async #read(): Promise<void> {
    const { reader, onNews } = this.#options;
    const newest = await findChangePlace(reader, this.frontdoorId);
    if (newest === undefined) {
      onNews({ isGone: true });
      return;
    }
    this.#base ??= newest;
    this.#head ??= newest;
    if (isSamePlace(newest, this.#head)) return;
    // Older than what is known here, or another in its place: the database was restored.
    if (newest.seq <= this.#head.seq) this.#forget(newest);
    while (this.#head.seq < newest.seq) {
      const found = await findChangesAfter(reader, this.frontdoorId, this.#head, changesPerRead);
      if (found === undefined || found.length === 0) this.#forget(newest);
      else this.#keep(found);
    }
    onNews({ isGone: false });
  }

  #keep(found: readonly StoredChange[]): void {
    for (const each of found) {
      this.#kept.push(each);
      this.#keptSize += each.size;
      this.#head = { seq: each.change.seq, mark: each.change.mark };
    }
    let surplus = 0;
    while (this.#kept.length - surplus > maxKept || this.#keptSize > maxKeptSize) {
      this.#keptSize -= this.#kept[surplus]?.size ?? 0;
      surplus += 1;
    }
    if (surplus === 0) return;
    const { seq = 0, mark = "" } = this.#kept[surplus - 1]?.change ?? {};
    this.#base = { seq, mark };
    this.#kept = this.#kept.slice(surplus);
  }

  /** What lies between has been removed, or never was: the watchers will find out. */
  #forget(newest: ChangePlace): void {
    this.#kept = [];
    this.#keptSize = 0;
    this.#base = newest;
    this.#head = newest;
  }
}
