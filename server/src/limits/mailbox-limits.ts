/**
 * What may happen to a mailbox within an hour: wrong codes, and mails.
 *
 * Unlike the failures of machines these counts are exact over all processes,
 * for a code is short: each event is a row lock. When the database cannot be
 * written nothing is allowed.
 */
import type { Database, Tx } from "../db/database.ts";
import { toAddressBlock } from "../http/address-block.ts";
import type { Clock } from "../lib/clock.ts";
import { hashSecret } from "../lib/secrets.ts";
import { deleteStaleCounts, giveBackEvent, takeEvents } from "./store.ts";

/** An hour, in milliseconds: the window of all counts here. */
const mailboxWindowMs = 3_600_000;

/** How many mails and wrong codes an address may have. */
export interface MailboxLimitsOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly wrongCodesPerMailbox: number;
  readonly mailsPerMailbox: number;
  readonly mailsPerAddress: number;
  /** Hears which limit is used up; the caller is told nothing of it. */
  readonly onLimit?: (limit: MailboxLimit) => void;
}

/** Removes up to `limit` counts that are over, and answers how many there were. */
export function deleteStaleMailboxCounts(tx: Tx, now: Date, limit: number): Promise<number> {
  return deleteStaleCounts(tx, now, limit, mailboxWindowMs);
}

/** Names of the limits on wrong codes and mails. */
export type MailboxLimit = "mailbox_wrong_codes" | "mailbox_mails" | "address_mails";

/** A guess that has been counted before it was judged. */
export interface CountedGuess {
  readonly mailbox: string;
  readonly at: Date;
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
  async countGuess(tx: Tx, mailbox: string): Promise<CountedGuess | undefined> {
    const { clock, wrongCodesPerMailbox: limit, onLimit } = this.#options;
    const at = clock.now();
    const usedUp = await takeEvents(tx, [{ key: toCodeKey(mailbox), limit }], at, mailboxWindowMs);
    if (usedUp === undefined) return { mailbox, at };
    onLimit?.("mailbox_wrong_codes");
    return undefined;
  }

  /** The guess was right, or could not be judged: it no longer counts. */
  async forgiveGuess(tx: Tx, { mailbox, at }: CountedGuess): Promise<void> {
    await giveBackEvent(tx, toCodeKey(mailbox), at, mailboxWindowMs);
  }

  /**
   * Takes one mail from what the mailbox and the address have left; for both or
   * for neither. Addresses of IPv6 count by /64.
   *
   * @throws DomainError UNAVAILABLE
   */
  async take(mailbox: string, clientAddress: string): Promise<boolean> {
    const { database, clock, mailsPerMailbox, mailsPerAddress, onLimit } = this.#options;
    const ofMailbox = { key: hashSecret(`mail to ${mailbox}`), limit: mailsPerMailbox };
    const limits = [
      ofMailbox,
      { key: hashSecret(`mail for ${toAddressBlock(clientAddress)}`), limit: mailsPerAddress },
    ];
    const usedUp = await database.transaction((tx) => takeEvents(tx, limits, clock.now(), mailboxWindowMs));
    if (usedUp !== undefined) onLimit?.(usedUp === ofMailbox ? "mailbox_mails" : "address_mails");
    return usedUp === undefined;
  }
}

function toCodeKey(mailbox: string): string {
  return hashSecret(`code of ${mailbox}`);
}
