import type { AuditSubject } from "./audit.ts";

/** An audit record, as it is kept. */
export interface AuditRecord {
  /** UUIDv7. */
  readonly id: string;
  readonly at: Date;
  readonly requestId?: string | undefined;
  /** Who did it, or whose credential was refused; absent when unknown. */
  readonly actor?: AuditSubject | undefined;
  /** What the actor proved itself with: `client_secret`, `access_token`, … */
  readonly credentialKind?: string | undefined;
  /** Id of the credential or session, never its secret. */
  readonly credentialId?: string | undefined;
  /** `jti` of the access token on the request. */
  readonly tokenId?: string | undefined;
  readonly action: string;
  readonly target?: AuditSubject | undefined;
  readonly orgId?: string | undefined;
  readonly result: "success" | "refused";
  readonly reason?: string | undefined;
  readonly detail?: string | undefined;
  readonly clientAddress?: string | undefined;
  readonly userAgent?: string | undefined;
  readonly details: Readonly<Record<string, string>>;
  /** Stands for the mailbox it is about. */
  readonly mailboxHash?: string | undefined;
}

/** Longest text of each kind that a record keeps, in characters; the rest is cut. */
const shortText = 200;
const longText = 512;
const detailsPerRecord = 32;

/**
 * A text fit for a record: control characters (NUL, which Postgres refuses,
 * among them) become spaces, lone surrogates are replaced, the end is cut.
 */
export function toShortText(text: string): string {
  return toText(text, shortText);
}

/** Makes longer texts fit for a record, as {@link toShortText} does: user agents, details. */
export function toLongText(text: string): string {
  return toText(text, longText);
}

/** Makes names and values of an event's details fit for a record. */
export function toDetails(details: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const entries = Object.entries(details);
  const isAsKept = entries.every(([name, value]) => isPlain(name, shortText) && isPlain(value, longText));
  if (isAsKept && entries.length <= detailsPerRecord) return details;
  const kept = entries.slice(0, detailsPerRecord);
  return Object.fromEntries(kept.map(([name, value]) => [toShortText(name), toLongText(value)]));
}

function toText(text: string, length: number): string {
  if (isPlain(text, length)) return text;
  return text
    .slice(0, length)
    .toWellFormed()
    .replace(/\p{Cc}/gu, " ");
}

/** Whether a text needs no mending, as nearly all need none. */
function isPlain(text: string, length: number): boolean {
  return text.length <= length && /^[ -~]*$/.test(text);
}
