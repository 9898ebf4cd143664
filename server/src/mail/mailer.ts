/**
 * Outgoing mail.
 *
 * A mail is sent after the answer it belongs to, so that an answer's time says
 * nothing about a mailbox. One that is not accepted is tried again for a
 * minute. Once a mail has failed for good the mailer is unavailable, to
 * everyone alike, until a probe of the mail server succeeds. What the server
 * refuses for good, such as the password or the sender, is not tried again: no
 * mail gets out until somebody mends that.
 *
 * The room owns texts, transport and the outbox; whether somebody may be
 * mailed is for others to say.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { systemMonotonicMs } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Tracing } from "../lib/tracing.ts";
import type { MailMessage, MailTransport } from "./message.ts";

/** Pauses between tries, in milliseconds: a minute altogether. */
const retryPausesMs = [1000, 3000, 8000, 16_000, 32_000];

/**
 * How long after its first try a mail may be tried again, in milliseconds: the
 * pauses and a little more. Against a mail server that does not even answer,
 * each try takes its time as well.
 */
const patienceMs = 70_000;

/** Pauses between probes of a mail server that failed, in milliseconds; the last repeats. */
const probePausesMs = [1000, 2000, 5000, 10_000];

/**
 * Pause between probes of a mail server that refused us for good, in milliseconds: some lock out whoever
 * tries a wrong password often, and of a refused sender only the next mail can tell.
 */
const refusedPauseMs = 60_000;

/** Sends mail. */
export interface Mailer {
  /** False from a mail's failure until a probe succeeds. */
  isAvailable(): boolean;
  /** While it is unavailable as the mail server has refused us for good: what was said. */
  findRefusal(): MailServerRefusal | undefined;
  /**
   * Resolves once the mail was accepted.
   *
   * @throws Error when it was not within a minute, or the mail server says it never will be.
   */
  send(message: MailMessage): Promise<void>;
  /** Gives up what is being tried. */
  close(): void;
}

/** A mailer that keeps count. */
export interface CountingMailer extends Mailer {
  metrics(): MailMetrics;
}

/** What a mail server answered to us, not of a mailbox, with a code that means for good (RFC 5321 §4.2.1). */
export interface MailServerRefusal {
  /** Such as `smtp.example.com:587`. */
  readonly server: string;
  /** Such as `AUTH PLAIN` or `MAIL FROM`; `CONN` where it greeted with it. */
  readonly command: string;
  /** From 500 to 599. */
  readonly code: number;
}

/** Counts of mails since the start, by outcome, for metrics. */
export interface MailMetrics {
  readonly accepted: number;
  readonly failed: number;
  /** Being sent, or waiting to be tried again. */
  readonly waiting: number;
}

/** Why a mail was not sent. */
export interface MailFailure {
  /** Of the mailbox, which the mail server does not take mail for, or of the mail server. */
  readonly reason: "MAILBOX_REFUSED" | "MAIL_UNDELIVERED";
  /** Such as `RCPT TO: 550`. */
  readonly detail: string;
}

/** How mails leave, and what waits between two tries. */
export interface MailerOptions {
  readonly transport: MailTransport;
  readonly log: Log;
  /** Hears of each mail that was given up, and why, as whoever runs the server may know it. Must not throw. */
  readonly onFail: (message: MailMessage, failure: MailFailure) => void;
  /** Records how long a mail took, never whose it is. */
  readonly tracing?: Pick<Tracing, "within"> | undefined;
  /** Milliseconds since an arbitrary instant; never goes back. For tests. */
  readonly monotonicMs?: () => number;
  /** Waits; rejects when aborted. For tests. */
  readonly wait?: ((ms: number, signal: AbortSignal) => Promise<void>) | undefined;
}

/** A mail on a span: with all its tries. */
const sending = {
  name: "send mail",
  kind: "outside",
  attributes: {},
} as const;

/**
 * What a failure says of the mailbox, and so nothing of the mail server (RFC
 * 5321 §4.2.1): `refused` for good, or `deferred`. Anyone can type an address
 * that a good server does not take; that must not shut out everybody else.
 */
function findMailboxFault(error: unknown): "refused" | "deferred" | undefined {
  const { responseCode, command } = (error ?? {}) as { responseCode?: unknown; command?: unknown };
  if (typeof responseCode !== "number") return undefined;
  if (command === "RCPT TO" && responseCode >= 500) return "refused";
  if (command === "RCPT TO" && responseCode === 450) return "deferred";
  return command === "DATA" && responseCode >= 550 && responseCode <= 554 ? "refused" : undefined;
}

/** What a failure says of the mail server for good; undefined where it does not, or is about a mailbox. */
function findServerFault(error: unknown): Omit<MailServerRefusal, "server"> | undefined {
  const { responseCode: code, command } = (error ?? {}) as { responseCode?: unknown; command?: unknown };
  if (typeof code !== "number" || code < 500 || command === "RCPT TO") return undefined;
  if (findMailboxFault(error) !== undefined) return undefined;
  return { command: typeof command === "string" ? command : "", code };
}

/** Whether a failure of {@link Mailer.send} says that the mailbox will never take the mail. */
export function isMailboxRefused(error: unknown): boolean {
  return findMailboxFault(error) === "refused";
}

/** @see {@link Mailer} */
export function createMailer(options: MailerOptions): CountingMailer {
  const { transport, log, tracing } = options;
  const monotonicMs = options.monotonicMs ?? systemMonotonicMs;
  const wait = options.wait ?? ((ms, signal) => sleep(ms, undefined, { signal, ref: false }));
  const closing = new AbortController();
  let isAvailable = true;
  let refusal: MailServerRefusal | undefined;
  let accepted = 0;
  let failed = 0;
  let waiting = 0;

  async function probeUntilBack(): Promise<void> {
    for (let attempt = 0; !closing.signal.aborted; attempt++) {
      const pauseMs = probePausesMs[Math.min(attempt, probePausesMs.length - 1)] ?? 0;
      await wait(refusal === undefined ? pauseMs : refusedPauseMs, closing.signal);
      const isBack = await transport.probe().then(
        () => true,
        () => false,
      );
      if (!isBack) continue;
      isAvailable = true;
      refusal = undefined;
      log.info({}, "the mail server accepts mail again");
      return;
    }
  }

  function becomeUnavailable(err: unknown): void {
    const fault = findServerFault(err);
    refusal = fault && { server: transport.server, ...fault };
    if (!isAvailable) return;
    isAvailable = false;
    const { server } = transport;
    if (refusal === undefined) {
      log.error(
        { server, err: describe(err) },
        "mail cannot be sent: sign-in by mail is unavailable until the mail server is back",
      );
    } else {
      log.error(
        refusal,
        "the mail server refuses us for good: sign-in by mail is closed until it lets us in again, which is tried every minute",
      );
    }
    probeUntilBack().catch(() => {});
  }

  async function trySend(message: MailMessage): Promise<void> {
    const beganAtMs = monotonicMs();
    for (let attempt = 0; ; attempt++) {
      try {
        return await transport.send(message);
      } catch (error) {
        const pauseMs = retryPausesMs[attempt] ?? Number.POSITIVE_INFINITY;
        const isTooLate = monotonicMs() - beganAtMs + pauseMs > patienceMs;
        const isForGood = findMailboxFault(error) === "refused" || findServerFault(error) !== undefined;
        if (isForGood || isTooLate || closing.signal.aborted) throw error;
        log.warn({ err: describe(error), attempt: attempt + 1 }, "mail was not accepted; will try again");
        await wait(pauseMs, closing.signal);
      }
    }
  }

  return {
    isAvailable: () => isAvailable,
    findRefusal: () => refusal,
    metrics: () => ({ accepted, failed, waiting }),
    async send(message) {
      waiting += 1;
      try {
        if (tracing === undefined) await trySend(message);
        else await tracing.within(sending, () => trySend(message));
        accepted += 1;
      } catch (error) {
        failed += 1;
        options.onFail(message, toFailure(error));
        if (findMailboxFault(error) === undefined && !closing.signal.aborted) becomeUnavailable(error);
        throw error;
      } finally {
        waiting -= 1;
      }
    },
    close() {
      closing.abort();
      transport.close();
    },
  };
}

function toFailure(error: unknown): MailFailure {
  const reason = isMailboxRefused(error) ? "MAILBOX_REFUSED" : "MAIL_UNDELIVERED";
  return { reason, detail: toFailureText(error) };
}

/** What a failure was of, and its code, such as `AUTH PLAIN: 535`: never what the mail server wrote, which may name a mailbox. */
export function toFailureText(error: unknown): string {
  const { code, responseCode, command } = describe(error);
  return [command, responseCode ?? code].filter((each) => each !== undefined).join(": ");
}

/** What the log may know of a failure: never the conversation, which names the mailbox. */
function describe(error: unknown): { code: unknown; responseCode: unknown; command: unknown } {
  const { code, responseCode, command } = (error ?? {}) as Record<string, unknown>;
  return { code, responseCode, command };
}
