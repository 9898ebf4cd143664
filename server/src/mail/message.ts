import type { RequestInfo } from "../lib/request.ts";

/** A mail to one person. */
export interface MailMessage {
  /** A single address, lower case. */
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  /** The request that asked for it, of a mail that one did. */
  readonly askedBy?: RequestInfo;
}

/** Name and address that mail comes from. */
export interface MailSender {
  readonly name: string;
  readonly address: string;
}

/** Hands a mail to whoever delivers it. */
export interface MailTransport {
  /** Who that is, for the log: `smtp.example.com:587`. */
  readonly server: string;
  /** Resolves once the mail was accepted; rejects when it was not. */
  send(message: MailMessage): Promise<void>;
  /** Resolves if a mail would now be accepted, without sending one. */
  probe(): Promise<void>;
  close(): void;
}
