import { join } from "node:path";
import { byLabel, counter, gauge } from "../assembly/metric.ts";
import type { Room } from "../assembly/room.ts";
import type { Config } from "../config/config.ts";
import { isAddress } from "../config/urls.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Tracing } from "../lib/tracing.ts";
import { createMailer, type Mailer, type MailerOptions } from "./mailer.ts";
import type { MailSender, MailTransport } from "./message.ts";
import { createNotifier, type Notifier } from "./notifier.ts";
import { createOutbox } from "./outbox.ts";
import { createSmtpTransport } from "./smtp.ts";

type MailSettings = Pick<Config, "smtpUrl" | "mailFrom" | "dataDir" | "publicUrl" | "adminEmails">;

/** Parts that outgoing mail is built from. */
export interface MailParts {
  readonly settings: MailSettings;
  /** What the people who come here call the place. */
  readonly siteName: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly tracing: Tracing | undefined;
  readonly wait: MailerOptions["wait"];
  readonly onFail: MailerOptions["onFail"];
}

/** Outgoing mail. */
export interface MailRoom extends Room {
  readonly mailer: Mailer;
  readonly notifier: Notifier;
}

/** Puts mail together, by the configured mail server or into files. */
export async function assembleMail(parts: MailParts): Promise<MailRoom> {
  const { settings, siteName, log, tracing, wait, onFail } = parts;
  const { adminEmails } = settings;
  const transport = await createMailTransport(parts);
  const mailer = createMailer({ transport, log, tracing, wait, onFail });
  return {
    mailer,
    notifier: createNotifier({ mailer, siteName, adminEmails, log }),
    metrics: [
      gauge(
        "mail_available",
        "1 while mail can be sent, 0 from a failure until the mail server is back.",
        () => Number(mailer.isAvailable()),
      ),
      gauge(
        "mails_waiting",
        "Mails on their way, those that are tried again among them.",
        () => mailer.metrics().waiting,
      ),
      gauge(
        "mail_server_refusal",
        "1 while mail is closed as the mail server has refused us for good, by what it was asked and its code.",
        () => {
          const refusal = mailer.findRefusal();
          return refusal === undefined ? [] : [{ labels: { ...refusal }, value: 1 }];
        },
      ),
      counter("mails_total", "Mails by what became of them.", () => {
        const { accepted, failed } = mailer.metrics();
        return byLabel("result", { accepted, failed });
      }),
    ],
    // Before what waits for a mail, such as a sign-in: it goes on when the mail is given up.
    closing: [{ name: "mail", moment: "work", ms: 1_000, run: () => mailer.close() }],
  };
}

/** How mail leaves: by the configured mail server, or into files. */
export async function createMailTransport({
  settings,
  siteName,
  clock,
  log,
}: Pick<MailParts, "settings" | "siteName" | "clock" | "log">): Promise<MailTransport> {
  const { smtpUrl, dataDir } = settings;
  const from = toSender(settings, siteName);
  return smtpUrl === undefined
    ? createOutbox({ folder: join(dataDir, "outbox"), from, clock, log })
    : await createSmtpTransport({ url: smtpUrl, from, clientName: toClientName(settings) });
}

function toSender({ mailFrom, publicUrl }: MailSettings, siteName: string): MailSender {
  const { hostname } = new URL(publicUrl);
  return {
    name: mailFrom?.name ?? siteName,
    // A name: no mail server takes an address for a domain.
    address: mailFrom?.address ?? `no-reply@${isAddress(hostname) ? "localhost" : hostname}`,
  };
}

/** The public host; an address goes as a literal (RFC 5321 §4.1.3). */
function toClientName({ publicUrl }: Pick<MailSettings, "publicUrl">): string {
  const { hostname } = new URL(publicUrl);
  if (!isAddress(hostname)) return hostname;
  return hostname.startsWith("[") ? `[IPv6:${hostname.slice(1)}` : `[${hostname}]`;
}
