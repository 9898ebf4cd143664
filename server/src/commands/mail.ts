/** `vestibule mail test <address>`: whether mail gets out, by the settings of the server. */
import { loadConfig } from "../config/load-config.ts";
import { toSiteName } from "../config/site-name.ts";
import { silentLog } from "../lib/log.ts";
import { createMailTransport } from "../mail/assemble.ts";
import { renderMail } from "../mail/template.ts";
import { toEmail } from "../users/email.ts";
import { type Command, UsageError } from "./command.ts";

/** What `mail --help` says. */
export const mailHelp = `Usage: vestibule mail test <address>

Sends a mail to the address, once, by the server's own settings: what the mail
server says is said here. Without smtp.url it is written to the outbox.`;

/** The mail server did not take the mail. */
class MailTestError extends Error {
  override readonly name = "MailTestError";
}

/** @see mailHelp */
export const mailCommand: Command = async ([action, address, ...rest], context) => {
  if (action !== "test" || address === undefined || rest.length > 0) {
    throw new UsageError("mail: expected test <address>");
  }
  const to = toEmail(address);
  if (to === undefined) throw new UsageError(`mail test: ${address} is no e-mail address`);
  const config = loadConfig(context);
  const { smtpUrl, dataDir } = config;
  const place = smtpUrl === undefined ? `${dataDir}/outbox` : new URL(smtpUrl).host;
  const site = toSiteName(config);
  const transport = await createMailTransport({
    settings: config,
    siteName: site,
    clock: context.clock,
    log: silentLog,
  });
  try {
    await transport.send({ to, ...renderMail(testMail, { site, otp: "", minutes: 0 }) });
  } catch (error) {
    throw new MailTestError(`mail test: ${place} did not take it: ${toLine(error)}`);
  } finally {
    transport.close();
  }
  context.print(
    smtpUrl === undefined
      ? `written to ${place}, and not sent: there is no smtp.url`
      : `${place} took a mail to ${to}; if it does not arrive, look there and among the spam`,
  );
};

const testMail = {
  subject: "A mail to see whether mail gets out",
  body: "Whoever runs this site sent it by `vestibule mail test`. There is nothing to do.",
};

/** What the mail server said, on one line. It may name the address, which is the operator's own to know. */
function toLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s+/g, " ");
}
