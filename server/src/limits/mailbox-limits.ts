/**
 * What may happen to a mailbox within an hour: wrong codes, and mails.
 *
 * Whoever comes in a browser that the mailbox's account knows has a budget of
 * their own, of the same size as the one that all others share. Of that no
 * network has more than a part, so that whoever would use it up for the owner
 * needs several; and what is left of the owner's own, nobody else can touch.
 *
 * Unlike the failures of machines these counts are exact over all processes,
 * for a code is short: each event is a row lock. When the database cannot be
 * written nothing is allowed.
 */
import type { Database, Tx } from "../db/database.ts";
import { createExpirySweep, sweepInBatches } from "../db/sweep.ts";
import { toAddressBlock } from "../http/address-block.ts";
import type { Clock } from "../lib/clock.ts";
import { hashSecret } from "../lib/secrets.ts";
import { bringBackCounts, deleteStaleCounts, giveBackEvent, type RollingLimit, takeEvents } from "./store.ts";

/** An hour, in milliseconds: the window of all counts here. */
const mailboxWindowMs = 3_600_000;

/** What one network may use of what all strangers have: three fifths, rounded down, and one at least. */
function toNetworkShare(limit: number): number {
  return Math.max(1, Math.floor((limit * 3) / 5));
}

/** Bits of an IPv6 address that name a network: whoever has a /64 often has all of them around it. */
const ipv6NetworkBits = 48;

/** How many mails and wrong codes there may be. */
export interface MailboxLimitsOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly wrongCodesPerMailbox: number;
  readonly mailsPerMailbox: number;
  /** Absent: as many as are asked for. */
  readonly mailsPerAddress?: number | undefined;
  /** Hears which limit is used up; the caller is told nothing of it. */
  readonly onLimit?: (limit: MailboxLimit) => void;
}

/** Makes what removes counts that are over. What a clock that ran ahead has left stays for one window more. */
export function createMailboxCountSweep(
  database: Pick<Database, "transaction">,
  clock: Clock,
): () => Promise<number> {
  const sweep = createExpirySweep(database, clock, deleteStaleCounts);
  return async () => {
    await sweepInBatches(database, (tx, limit) => bringBackCounts(tx, clock.now(), limit, mailboxWindowMs));
    return await sweep();
  };
}

/** Names of the limits on wrong codes and mails. */
export const mailboxLimitNames = [
  "mailbox_wrong_codes",
  "network_wrong_codes",
  "browser_wrong_codes",
  "mailbox_mails",
  "network_mails",
  "browser_mails",
  "address_mails",
] as const;

/** One of {@link mailboxLimitNames}. */
export type MailboxLimit = (typeof mailboxLimitNames)[number];

/** Who asks, as far as counts tell them apart. */
export interface Asker {
  readonly clientAddress: string;
  /** What the mailbox's account knows the browser by, where it does. */
  readonly knownBrowser: string | undefined;
}

/** A guess that has been counted before it was judged. */
export interface CountedGuess {
  readonly keys: readonly string[];
  readonly at: Date;
}

/** A counted key that says which limit it is of. */
interface NamedLimit extends RollingLimit {
  readonly name: MailboxLimit;
}

/** @see the head of this file */
export class MailboxLimits {
  readonly #options: MailboxLimitsOptions;

  constructor(options: MailboxLimitsOptions) {
    this.#options = options;
  }

  /**
   * Counts a guess at a mailbox's code as wrong, with `tx`, before anyone looks
   * whether it is. So no more guesses than allowed are ever judged, however
   * many come at once.
   *
   * @returns undefined when none is left: then the code must not be judged.
   */
  async countGuess(tx: Tx, mailbox: string, asker: Asker): Promise<CountedGuess | undefined> {
    const limits = listLimits("wrong_codes", mailbox, asker, this.#options.wrongCodesPerMailbox);
    const at = this.#options.clock.now();
    const usedUp = await this.#take(tx, limits, at);
    return usedUp === undefined ? { keys: limits.map(({ key }) => key), at } : undefined;
  }

  /** The guess was right, or could not be judged: it no longer counts. */
  async forgiveGuess(tx: Tx, { keys, at }: CountedGuess): Promise<void> {
    await giveBackEvent(tx, keys, at, mailboxWindowMs);
  }

  /**
   * Takes one mail from all that it counts for, or from nothing. A known
   * browser's counts for that browser alone, another's for the mailbox, for its
   * network there, and for its address wherever the mails go; of IPv6 by /64.
   *
   * @returns the limit that is used up: nothing must be sent then.
   * @throws DomainError UNAVAILABLE
   */
  async takeMail(mailbox: string, asker: Asker): Promise<MailboxLimit | undefined> {
    const { database, clock, mailsPerMailbox, mailsPerAddress } = this.#options;
    const limits = listLimits("mails", mailbox, asker, mailsPerMailbox);
    if (asker.knownBrowser === undefined && mailsPerAddress !== undefined) {
      const key = hashSecret(`mail for ${toAddressBlock(asker.clientAddress)}`);
      limits.push({ name: "address_mails", key, limit: mailsPerAddress });
    }
    return await database.transaction((tx) => this.#take(tx, limits, clock.now()));
  }

  async #take(tx: Tx, limits: readonly NamedLimit[], at: Date): Promise<MailboxLimit | undefined> {
    const usedUp = await takeEvents(tx, limits, at, mailboxWindowMs);
    if (usedUp !== undefined) this.#options.onLimit?.(usedUp.name);
    return usedUp?.name;
  }
}

/** What an event at a mailbox counts for. */
function listLimits(
  event: "wrong_codes" | "mails",
  mailbox: string,
  { clientAddress, knownBrowser }: Asker,
  limit: number,
): NamedLimit[] {
  const toKey = (whose: string) => hashSecret(`${event} ${mailbox} ${whose}`);
  if (knownBrowser !== undefined) {
    return [{ name: `browser_${event}`, key: toKey(`browser ${knownBrowser}`), limit }];
  }
  const network = toAddressBlock(clientAddress, ipv6NetworkBits);
  return [
    { name: `mailbox_${event}`, key: toKey("all"), limit },
    { name: `network_${event}`, key: toKey(`network ${network}`), limit: toNetworkShare(limit) },
  ];
}
