/** Reasons for which an outgoing request was not made, or its answer not taken. */
export type EgressReason =
  /** Not an absolute https URL (or allowed http), or one with a user name or a port that is not for the web. */
  | "url"
  /** The host is, or resolves to, an internal address. */
  | "blocked"
  | "dns"
  | "timeout"
  | "connection"
  | "tls"
  /** Too many redirects, or one where none is followed. */
  | "redirect"
  | "too_large"
  /** Another status than the one needed. */
  | "status"
  /** A body that is not what was asked for. */
  | "content"
  /** Whoever asked has lost interest. */
  | "aborted";

/**
 * An outgoing request that failed. The message names the host and what to do,
 * and is safe to show to whoever chose the URL: it repeats no path, query,
 * header or body.
 */
export class EgressError extends Error {
  override readonly name = "EgressError";
  readonly reason: EgressReason;
  /** Host and port as in the URL; empty when there was none. */
  readonly host: string;
  /** With `status`: the one that was answered. */
  readonly status: number | undefined;

  constructor(reason: EgressReason, host: string, message: string, cause?: unknown, status?: number) {
    super(host === "" ? message : `${host}: ${message}`, cause === undefined ? undefined : { cause });
    this.reason = reason;
    this.host = host;
    this.status = status;
  }
}
