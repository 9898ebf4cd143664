import type { Reader } from "../../db/database.ts";
import { findChangeSeq } from "../frontdoors/store.ts";
import type { ProviderChange } from "../providers/provider.ts";
import { findChangesAfter, type StoredChange } from "./store.ts";

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
  /** The newest, without a gap; the last one is at `#headSeq`. */
  #kept: StoredChange[] = [];
  #keptSize = 0;
  /** Place of the newest change that is known here. */
  #headSeq: number | undefined;
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
  async changesAfter(seq: number): Promise<readonly ProviderChange[] | undefined> {
    if (seq === this.#headSeq) return [];
    const firstKept = this.#kept[0]?.change.seq;
    if (
      firstKept !== undefined &&
      this.#headSeq !== undefined &&
      seq >= firstKept - 1 &&
      seq < this.#headSeq
    ) {
      const from = seq + 1 - firstKept;
      return this.#kept.slice(from, from + changesPerRead).map(({ change }) => change);
    }
    const { reader } = this.#options;
    const found = await findChangesAfter(reader, this.frontdoorId, seq, changesPerRead);
    if (found.length > 0)
      return found[0]?.change.seq === seq + 1 ? found.map(({ change }) => change) : undefined;
    return (await findChangeSeq(reader, this.frontdoorId)) === seq ? [] : undefined;
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
    const newest = await findChangeSeq(reader, this.frontdoorId);
    if (newest === undefined) {
      onNews({ isGone: true });
      return;
    }
    this.#headSeq ??= newest;
    if (newest <= this.#headSeq) return;
    while (this.#headSeq < newest) {
      const found = await findChangesAfter(reader, this.frontdoorId, this.#headSeq, changesPerRead);
      if (found[0]?.change.seq !== this.#headSeq + 1) this.#forget(newest);
      else this.#keep(found);
    }
    onNews({ isGone: false });
  }

  #keep(found: readonly StoredChange[]): void {
    for (const each of found) {
      this.#kept.push(each);
      this.#keptSize += each.size;
      this.#headSeq = each.change.seq;
    }
    let surplus = 0;
    while (this.#kept.length - surplus > maxKept || this.#keptSize > maxKeptSize) {
      this.#keptSize -= this.#kept[surplus]?.size ?? 0;
      surplus += 1;
    }
    if (surplus > 0) this.#kept = this.#kept.slice(surplus);
  }

  /** What lies between has been removed: the watchers will find out. */
  #forget(newest: number): void {
    this.#kept = [];
    this.#keptSize = 0;
    this.#headSeq = newest;
  }
}
