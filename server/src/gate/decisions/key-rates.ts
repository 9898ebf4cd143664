/**
 * How often each API key comes in at a frontend.
 *
 * A window that slides: what came in the one before counts by the share of it
 * that still lies within reach. A few numbers for each key, whatever its rate.
 *
 * Asking is a look into memory. Behind it this process tells the table, a few
 * times a second, which keys came in, and hears how often they did elsewhere;
 * without the database each process counts for itself.
 */
import type { LRUCache } from "lru-cache";
import type { Database, Tx } from "../../db/database.ts";
import { WriteBehind, type WriteBehindOptions } from "../../db/write-behind.ts";
import type { ApiKeyRate } from "../../frontdoor/frontends/frontend.ts";
import { createLru } from "../../lib/lru.ts";
import { addKeyUses, findKeyUses, type KeyWindow } from "./key-rate-store.ts";

/** Where uses of keys are counted, for all processes together. */
export interface KeyRatesOptions extends Pick<WriteBehindOptions<object>, "clock" | "log" | "flushAfterMs"> {
  readonly database: Pick<Database, "transaction" | "afterCommit">;
}

/** An API key at a frontend, for so long a window. */
export interface RatedKey {
  readonly frontendId: string;
  readonly keyId: string;
  readonly rate: ApiKeyRate;
}

/** Uses of one key in a window. */
interface KeyUses extends KeyWindow {
  /** What the table said last, of all processes together. */
  shared: number;
  /** Counted here, not in the table yet. */
  own: number;
  /** In the window before. */
  before: number;
  /** Whether that is of this process's own memory, and the table may know more. */
  isBeforeUnknown: boolean;
}

/** How many keys are told apart; the least recently used ones are forgotten first. */
const rememberedKeys = 50_000;

/** @see the head of this file */
export class KeyRates {
  readonly #options: KeyRatesOptions;
  readonly #uses: LRUCache<string, KeyUses>;
  readonly #untold: WriteBehind<{ readonly uses: KeyUses }>;

  constructor(options: KeyRatesOptions) {
    this.#options = options;
    this.#uses = createLru(rememberedKeys);
    this.#untold = new WriteBehind({
      ...options,
      what: "uses of API keys",
      keyOf: ({ uses }) => `${uses.keyId} ${uses.frontendId} ${uses.perSeconds} ${uses.windowAt.getTime()}`,
      everyMs: 0,
      write: (tx, notes) => this.#tell(tx, notes),
    });
  }

  /** Counts a use, if there is room for it: 0 then, else whole seconds until there is. */
  take(key: RatedKey): number {
    const { requests, perSeconds } = key.rate;
    const nowMs = this.#options.clock.now().getTime();
    const uses = this.#find(key, nowMs);
    const elapsedSeconds = (nowMs - uses.windowAt.getTime()) / 1000;
    const count = uses.shared + uses.own;
    if (count + uses.before * (1 - elapsedSeconds / perSeconds) + 1 <= requests) {
      uses.own += 1;
      this.#untold.note({ uses });
      return 0;
    }
    const roomAtSeconds = findRoom(count, uses.before, key.rate);
    return Math.max(1, Math.ceil(roomAtSeconds - elapsedSeconds));
  }

  /** Tells the table what it does not know, and hears what others did. Never rejects. */
  flush(): Promise<void> {
    return this.#untold.flush();
  }

  #find({ frontendId, keyId, rate: { perSeconds } }: RatedKey, nowMs: number): KeyUses {
    const windowMs = perSeconds * 1000;
    const windowAtMs = Math.floor(nowMs / windowMs) * windowMs;
    const place = `${frontendId} ${keyId} ${perSeconds}`;
    const known = this.#uses.get(place);
    if (known?.windowAt.getTime() === windowAtMs) return known;
    const isNext = known?.windowAt.getTime() === windowAtMs - windowMs;
    const fresh: KeyUses = {
      frontendId,
      keyId,
      perSeconds,
      windowAt: new Date(windowAtMs),
      shared: 0,
      own: 0,
      before: isNext ? known.shared + known.own : 0,
      isBeforeUnknown: true,
    };
    this.#uses.set(place, fresh);
    return fresh;
  }

  async #tell(tx: Tx, notes: readonly { readonly uses: KeyUses }[]): Promise<void> {
    for (const { uses } of notes) {
      const told = uses.own;
      const shared = await addKeyUses(tx, uses, told);
      const before = uses.isBeforeUnknown ? await findKeyUses(tx, toWindowBefore(uses)) : 0;
      this.#options.database.afterCommit(tx, () => {
        uses.shared = shared;
        uses.own -= told;
        uses.before = Math.max(uses.before, before);
        uses.isBeforeUnknown = false;
      });
    }
  }
}

function toWindowBefore(window: KeyWindow): KeyWindow {
  return { ...window, windowAt: new Date(window.windowAt.getTime() - window.perSeconds * 1000) };
}

/** When there is room for another use, in seconds from the start of the present window. */
function findRoom(count: number, before: number, { requests, perSeconds }: ApiKeyRate): number {
  const room = requests - 1;
  // In this window the one before fades; in the next this one does.
  return count <= room ? perSeconds * (1 - (room - count) / before) : perSeconds * (2 - room / count);
}
