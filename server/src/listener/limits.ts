/** What one peer may take of the listener. Every duration has its unit in its name. */
export interface ListenerLimits {
  /** Largest header block of a request, in bytes; on HTTP/2 counted after decompression (RFC 9113 §6.5.2). */
  readonly headerBytes: number;
  /** From accepting a connection to its protocol being known, and from then to a whole request header. */
  readonly headerTimeoutMs: number;
  /** For receiving a whole request, body included. Streams that have begun to answer are exempt on HTTP/2. */
  readonly requestTimeoutMs: number;
  /** How long a connection without a request stays open, and how long an answer may find no taker. */
  readonly idleTimeoutMs: number;
  /**
   * Requests that one HTTP/2 connection may have open at once, far more than
   * anybody needs: Node counts those that were reset until it next looks for
   * events, so that a peer which resets some and begins others is refused sooner.
   * What they may have done at once is for their handler to bound.
   */
  readonly concurrentStreams: number;
  /** Connections beyond this are closed as they come; absent means no bound. */
  readonly maxConnections?: number;
}

/**
 * The documented limits. The idle time is longer than the 60 s that common
 * proxies keep an upstream connection, so that the proxy closes first.
 */
export const defaultLimits: ListenerLimits = {
  headerBytes: 16 * 1024,
  headerTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  idleTimeoutMs: 120_000,
  concurrentStreams: 1024,
};

/** How often to look for slow requests: every second, more often when the limits are shorter. */
export function checkIntervalMs({ headerTimeoutMs, requestTimeoutMs }: ListenerLimits): number {
  return Math.max(1, Math.min(1_000, Math.floor(Math.min(headerTimeoutMs, requestTimeoutMs) / 4)));
}
