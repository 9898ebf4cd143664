/**
 * Bounds how many refusals one client can have recorded.
 *
 * The first ones of each minute and address block are recorded whole; the rest
 * is counted, and recorded as one number when the minute is over. A flood then
 * costs a bounded number of rows, and still shows.
 */
import type { LRUCache } from "lru-cache";
import { toAddressBlock } from "../http/address-block.ts";
import { createLru } from "../lib/lru.ts";

/** Refusals that were not recorded one by one. */
export interface SuppressedRefusals {
  /** The block they came from, or `*` for all blocks that had none of their own left. */
  readonly addressBlock: string;
  readonly count: number;
  /** Start of the minute. */
  readonly sinceAt: Date;
}

interface Window {
  startedAtMs: number;
  admitted: number;
  suppressed: number;
}

/** What bounds the refusals that are recorded one by one. */
export interface RefusalThrottleOptions {
  /** Takes what was suppressed, once its minute is over. */
  readonly onSuppressed: (refusals: SuppressedRefusals) => void;
  /** Recorded whole in a minute, per address block. */
  readonly perBlock?: number;
  /** Recorded whole in a minute, from all blocks together. */
  readonly perMinute?: number;
  /** How many blocks are told apart. */
  readonly maxBlocks?: number;
}

const windowMs = 60_000;
const everyBlock = "*";

/** Also when the clock has been set back by as much: what has yet to begin would last for ever. */
function isOver({ startedAtMs }: Window, nowMs: number): boolean {
  return Math.abs(nowMs - startedAtMs) >= windowMs;
}

/** @see the head of this file */
export class RefusalThrottle {
  readonly #options: Required<RefusalThrottleOptions>;
  readonly #blocks: LRUCache<string, Window>;
  #total: Window = { startedAtMs: 0, admitted: 0, suppressed: 0 };

  constructor(options: RefusalThrottleOptions) {
    this.#options = { perBlock: 30, perMinute: 3000, maxBlocks: 10_000, ...options };
    this.#blocks = createLru<string, Window>(this.#options.maxBlocks, {
      dispose: (window, block) => this.#report(block, window),
    });
  }

  /** Whether a refusal is to be recorded whole; if not it has been counted. */
  admit(clientAddress: string, now: Date): boolean {
    const nowMs = now.getTime();
    this.#total = this.#roll(everyBlock, this.#total, nowMs);
    const block = toAddressBlock(clientAddress);
    const window = this.#findWindow(block, nowMs);
    if (window.admitted >= this.#options.perBlock) {
      window.suppressed += 1;
      return false;
    }
    if (this.#total.admitted >= this.#options.perMinute) {
      this.#total.suppressed += 1;
      return false;
    }
    window.admitted += 1;
    this.#total.admitted += 1;
    return true;
  }

  /** Reports what was suppressed in minutes that are over; with `all`, also in the present one. */
  sweep(now: Date, all = false): void {
    const nowMs = all ? Number.POSITIVE_INFINITY : now.getTime();
    for (const [block, window] of this.#blocks.entries()) {
      if (isOver(window, nowMs)) this.#blocks.delete(block);
    }
    this.#total = this.#roll(everyBlock, this.#total, nowMs);
  }

  #findWindow(block: string, nowMs: number): Window {
    const found = this.#blocks.get(block);
    if (found !== undefined && !isOver(found, nowMs)) return found;
    this.#blocks.delete(block);
    const fresh = { startedAtMs: nowMs, admitted: 0, suppressed: 0 };
    this.#blocks.set(block, fresh);
    return fresh;
  }

  #roll(block: string, window: Window, nowMs: number): Window {
    if (!isOver(window, nowMs)) return window;
    this.#report(block, window);
    return { startedAtMs: Number.isFinite(nowMs) ? nowMs : 0, admitted: 0, suppressed: 0 };
  }

  #report(addressBlock: string, { suppressed: count, startedAtMs }: Window): void {
    if (count > 0) this.#options.onSuppressed({ addressBlock, count, sinceAt: new Date(startedAtMs) });
  }
}
