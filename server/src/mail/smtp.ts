import type { MailMessage, MailSender, MailTransport } from "./message.ts";

/** How long each step of a conversation with the mail server may take, in milliseconds. */
const stepTimeoutMs = 10_000;

/** A mail server and the sign-in to it: what an SMTP URL says. */
export interface SmtpServer {
  readonly host: string;
  readonly port: number;
  /** TLS from the first byte. */
  readonly secure: boolean;
  /** Refuse to go on without STARTTLS. */
  readonly requireTLS: boolean;
  /** Whether the server's certificate has to be good. */
  readonly tls: { readonly rejectUnauthorized: boolean };
  readonly auth?: { readonly user: string; readonly pass: string };
}

const loopbackHosts = new Set(["localhost", "127.0.0.1", "[::1]"]);

/**
 * Reads an SMTP URL. A password is never sent in clear text to another
 * machine: with one, `smtp://` insists on STARTTLS.
 *
 * A mail server on this very machine offers STARTTLS, usually with a
 * certificate that it made for itself; there is nobody in between to guard
 * against, and it is taken.
 */
export function parseSmtpServer(url: string): SmtpServer {
  const { protocol, hostname, port, username, password } = new URL(url);
  const secure = protocol === "smtps:";
  const hasPassword = username !== "";
  const isNear = !secure && loopbackHosts.has(hostname);
  return {
    host: hostname.replace(/^\[|\]$/g, ""),
    port: port === "" ? (secure ? 465 : 587) : Number(port),
    secure,
    requireTLS: !secure && hasPassword && !isNear,
    tls: { rejectUnauthorized: !isNear },
    ...(hasPassword && { auth: { user: decodeURIComponent(username), pass: decodeURIComponent(password) } }),
  };
}

/**
 * Mail by SMTP (RFC 5321), with STARTTLS wherever the server offers it. The
 * library is loaded with the first mail server, not with the process.
 *
 * @param url `smtp://user:password@host:587` or `smtps://…`.
 * @param clientName what we call ourselves (RFC 5321 §4.1.1.1): the public host.
 */
export async function createSmtpTransport(options: {
  readonly url: string;
  readonly from: MailSender;
  readonly clientName?: string;
}): Promise<MailTransport> {
  const { createTransport } = await import("nodemailer");
  const server = parseSmtpServer(options.url);
  const transport = createTransport({
    ...server,
    ...(options.clientName !== undefined && { name: options.clientName }),
    connectionTimeout: stepTimeoutMs,
    greetingTimeout: stepTimeoutMs,
    socketTimeout: stepTimeoutMs,
    // What a template holds is text, never a file of ours or a place to fetch from.
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return {
    server: `${server.host}:${server.port}`,
    async send(message: MailMessage) {
      await transport.sendMail({ ...toFields(message), from: options.from });
    },
    async probe() {
      await transport.verify();
    },
    close: () => transport.close(),
  };
}

/** Fields as the library takes them; the address goes as an object, which is never parsed into several. */
export function toFields(message: MailMessage) {
  const { to, subject, text, html } = message;
  return {
    to: { name: "", address: to },
    subject,
    text,
    html,
    // RFC 3834 §5: nobody's out-of-office answers a code.
    headers: { "Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All" },
  };
}
