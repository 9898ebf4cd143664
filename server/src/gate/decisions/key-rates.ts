/**
 * How often each API key comes in at a frontend.
 *
 * A window that slides: what came in the one before counts by the share of it
 * that still lies within reach. Two numbers for each key, whatever its rate.
 */
import type { LRUCache } from "lru-cache";
import type { ApiKeyRate } from "../../frontdoor/frontends/frontend.ts";
import type { Clock } from "../../lib/clock.ts";
import { createLru } from "../../lib/lru.ts";

/** Uses of one key in two windows. */
interface KeyUses {
  /** Start of the present window, in milliseconds since the epoch. */
  windowAtMs: number;
  count: number;
  /** In the window before. */
  before: number;
}

/** How many keys are told apart; the least recently used ones are forgotten first. */
const rememberedKeys = 50_000;

/** @see the head of this file */
export class KeyRates {
  readonly #clock: Clock;
  readonly #uses: LRUCache<string, KeyUses>;

  constructor(options: { readonly clock: Clock }) {
    this.#clock = options.clock;
    this.#uses = createLru(rememberedKeys);
  }

  /** Counts a use, if there is room for it: 0 then, else whole seconds until there is. */
  take(key: string, { requests, perSeconds }: ApiKeyRate): number {
    const nowMs = this.#clock.now().getTime();
    const windowMs = perSeconds * 1000;
    const uses = this.#find(key, Math.floor(nowMs / windowMs) * windowMs, windowMs);
    const left = 1 - (nowMs - uses.windowAtMs) / windowMs;
    if (uses.count + uses.before * left + 1 <= requests) {
      uses.count += 1;
      return 0;
    }
    return Math.max(
      1,
      Math.ceil(secondsUntilRoom(uses, requests, perSeconds) - (nowMs - uses.windowAtMs) / 1000),
    );
  }

  #find(key: string, windowAtMs: number, windowMs: number): KeyUses {
    const known = this.#uses.get(key);
    if (known?.windowAtMs === windowAtMs) return known;
    const before = known?.windowAtMs === windowAtMs - windowMs ? known.count : 0;
    const fresh = { windowAtMs, count: 0, before };
    this.#uses.set(key, fresh);
    return fresh;
  }
}

/** Seconds from the start of the present window. */
function secondsUntilRoom({ count, before }: KeyUses, requests: number, perSeconds: number): number {
  const room = requests - 1;
  // In this window the one before fades; in the next this one does.
  if (count <= room) return perSeconds * (1 - (room - count) / before);
  return perSeconds * (2 - room / count);
}
