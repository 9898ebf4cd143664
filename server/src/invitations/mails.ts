/**
 * Sends the mails that invitations wait for, after the transaction that asks
 * for them.
 *
 * That a mail is due is kept in the invitation's row until the mail server has
 * taken it: a server that is down, or a process that ends, delays it. Whoever
 * sends one claims it first, for longer than a mail is tried, so that of several
 * processes one does. A second mail could go out only where a process dies
 * between the mail server's answer and the note of it.
 */
import type { Database, Reader, Tx } from "../db/database.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { isMailboxRefused, type Mailer } from "../mail/mailer.ts";
import type { MailMessage } from "../mail/message.ts";

/** A mail that this process sends, unless it takes too long. */
export interface ClaimedMail {
  readonly message: MailMessage;
  /** How often it was claimed, with this time. */
  readonly attempts: number;
  /**
   * Notes what became of it; nothing where it is not the latest mail any more.
   *
   * @param dueAt when to try again; undefined when it was taken, or never will be.
   * @param sentAt when it was taken.
   */
  settle(tx: Tx, dueAt: Date | undefined, sentAt: Date | undefined): Promise<void>;
}

/** Invitations of one kind, whose mails may be due. */
export interface DueMails {
  /** Names of up to `limit` that are due, the longest first. */
  findDue(reader: Reader, now: Date, limit: number): Promise<string[]>;
  /** Takes one that is due out of the others' reach until an instant. Undefined when it is not due any more. */
  claim(tx: Tx, name: string, now: Date, until: Date): Promise<ClaimedMail | undefined>;
}

/** Parts that the mails of invitations stand on. */
export interface InvitationMailsOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly mailer: Pick<Mailer, "isAvailable" | "send">;
  readonly kinds: readonly DueMails[];
}

/** How many are on their way at once. */
const mostAtOnce = 20;

/** For how long a mail is its sender's, in milliseconds: far longer than any is tried. */
const claimMs = 15 * 60_000;

/** How long a mail that was not taken waits, in minutes; the last repeats until the invitation expires. */
const waits = [1, 5, 15, 60];

/** @see the head of this file */
export class InvitationMails {
  readonly #options: InvitationMailsOptions;
  readonly #onTheirWay = new Set<Promise<void>>();
  /** Notes that could not be written. */
  #unwritten: ((tx: Tx) => Promise<void>)[] = [];
  #round: Promise<void> | undefined;
  #isAskedAgain = false;
  #isClosed = false;

  constructor(options: InvitationMailsOptions) {
    this.#options = options;
  }

  /** How many are on their way. */
  get pending(): number {
    return this.#onTheirWay.size;
  }

  /** Has what is due sent, soon. Never throws, and waits for nothing. */
  kick(): void {
    this.sendDue().catch((err) => this.#options.log.warn({ err }, "mails of invitations will be sent later"));
  }

  /** Begins to send what is due; what a round under way may have overlooked it looks for again. */
  async sendDue(): Promise<void> {
    this.#isAskedAgain = true;
    this.#round ??= this.#sendRounds().finally(() => {
      this.#round = undefined;
    });
    await this.#round;
  }

  /** Begins no more, and waits for what is on its way: the mailer gives it up when it closes. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#round?.catch(() => {});
    await Promise.all(this.#onTheirWay);
  }

  async #sendRounds(): Promise<void> {
    while (this.#isAskedAgain) {
      this.#isAskedAgain = false;
      await this.#writeNotes();
      for (const kind of this.#options.kinds) await this.#sendKind(kind);
    }
  }

  async #sendKind(kind: DueMails): Promise<void> {
    const { database, clock, mailer } = this.#options;
    for (;;) {
      const free = mostAtOnce - this.#onTheirWay.size;
      if (free <= 0 || this.#isClosed || !mailer.isAvailable()) return;
      const due = await kind.findDue(database.reader, clock.now(), free);
      for (const name of due) {
        const now = clock.now();
        const until = new Date(now.getTime() + claimMs);
        const mail = await database.transaction((tx) => kind.claim(tx, name, now, until));
        if (mail !== undefined) this.#begin(mail);
      }
      if (due.length < free) return;
    }
  }

  #begin(mail: ClaimedMail): void {
    const running = this.#send(mail).finally(() => {
      this.#onTheirWay.delete(running);
      // Others may have waited for a place.
      if (!this.#isClosed) this.kick();
    });
    this.#onTheirWay.add(running);
  }

  async #send(mail: ClaimedMail): Promise<void> {
    const { mailer, clock, log } = this.#options;
    let dueAt: Date | undefined;
    let sentAt: Date | undefined;
    try {
      await mailer.send(mail.message);
      sentAt = clock.now();
    } catch (err) {
      const isRefused = isMailboxRefused(err);
      const minutes = waits[Math.min(mail.attempts, waits.length) - 1] ?? 0;
      if (!isRefused) dueAt = new Date(clock.now().getTime() + (this.#isClosed ? 0 : minutes * 60_000));
      const text = isRefused ? "was refused for good" : "could not be sent; will try again";
      log.warn({ err }, `the mail of an invitation ${text}`);
    }
    this.#unwritten.push((tx) => mail.settle(tx, dueAt, sentAt));
    await this.#writeNotes().catch((err) => {
      log.warn({ err }, "what became of a mail could not be noted; will try again");
    });
  }

  async #writeNotes(): Promise<void> {
    const notes = this.#unwritten;
    this.#unwritten = [];
    for (const [index, note] of notes.entries()) {
      try {
        await this.#options.database.transaction(note);
      } catch (error) {
        this.#unwritten.push(...notes.slice(index));
        throw error;
      }
    }
  }
}
