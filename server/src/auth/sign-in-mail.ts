/**
 * Mails that sign people in. They go out after the answer, as many as their
 * mailbox may be sent. The asker is told nothing of one that does not, whoever
 * runs the server all the more.
 */
import type { AuditTrail } from "../audit/audit.ts";
import type { Database } from "../db/database.ts";
import type { Log } from "../lib/log.ts";
import type { RequestInfo } from "../lib/request.ts";
import type { MailboxLimits } from "../limits/mailbox-limits.ts";
import type { Mailer } from "../mail/mailer.ts";
import type { MailMessage } from "../mail/message.ts";
import type { KnownBrowsers } from "../sessions/known-browsers.ts";

/** Parts that mails of sign-ins stand on. */
export interface SignInMailOptions {
  readonly database: Pick<Database, "reader">;
  readonly mailer: Pick<Mailer, "send">;
  readonly mailboxLimits: Pick<MailboxLimits, "takeMail">;
  readonly knownBrowsers: Pick<KnownBrowsers, "find">;
  readonly audit: Pick<AuditTrail, "refuse">;
  readonly log: Log;
}

/** Who asks for a mail, or answers one: mails and guesses of known browsers are counted apart. */
export interface Asker {
  readonly info: RequestInfo;
  /** Keys by which accounts know the browser, as it sent them. */
  readonly browserKeys: readonly string[];
}

/** @see the head of this file */
export class SignInMail {
  readonly #options: SignInMailOptions;

  constructor(options: SignInMailOptions) {
    this.#options = options;
  }

  /**
   * Sends a mail, or withholds it where no more may go out now.
   *
   * @param strategy name of the one that it is of
   * @throws DomainError UNAVAILABLE when that cannot be counted; Error as `Mailer.send`
   */
  async send(mail: MailMessage, { info, browserKeys }: Asker, strategy: string): Promise<void> {
    const { database, mailer, mailboxLimits, knownBrowsers, audit, log } = this.#options;
    const { clientAddress, requestId } = info;
    const knownBrowser = await knownBrowsers.find(database.reader, mail.to, browserKeys);
    const usedUp = await mailboxLimits.takeMail(mail.to, { clientAddress, knownBrowser });
    if (usedUp === undefined) return await mailer.send({ ...mail, askedBy: info });
    audit.refuse(info, {
      action: "mail.withhold",
      reason: "TOO_MANY_MAILS",
      mailbox: mail.to,
      details: { strategy, limit: usedUp },
    });
    log.warn({ requestId, strategy, limit: usedUp }, "a mail was withheld: too many were asked for");
  }
}
