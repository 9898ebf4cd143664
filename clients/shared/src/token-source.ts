/**
 * Holds one access token and sees that there is always a good one: fetched
 * once for all who wait, renewed before it expires, replaced when refused.
 *
 * Times are those of the monotonic clock and of `expires_in`, counted from
 * before the request was sent, so neither a wrong wall clock nor a slow answer
 * makes an expired token look good.
 */
import { findRetryDelayMs } from "./errors.ts";
import { untilAborted } from "./until-aborted.ts";

/** An access token and how long it lives. */
export interface FetchedToken {
  readonly accessToken: string;
  /** Seconds from the request on. Without it the token is used once and not kept. */
  readonly expiresInSeconds?: number | undefined;
}

/** Gives out access tokens. */
export interface TokenSource {
  /**
   * A token that is valid now, from memory where possible. Aborting ends the
   * wait of this caller alone.
   *
   * @throws what fetching failed with, at once while backing off from failures.
   */
  get(signal?: AbortSignal): Promise<string>;
  /**
   * Takes note that the server refused a token and answers whether asking for
   * another one makes sense. Tokens are given up at most once in ten seconds:
   * a server that refuses every token is not flooded with requests for more.
   */
  reject(token: string): boolean;
}

/** How a token source gets its tokens, by which clock, and who hears when it cannot. */
export interface TokenSourceOptions {
  /** Asks for a new token. */
  readonly fetchToken: () => Promise<FetchedToken>;
  readonly monotonicMs: () => number;
  /** A number from 0 up to 1. */
  readonly random: () => number;
  /** Hears of every failure to fetch, those in the background included. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

interface HeldToken {
  readonly accessToken: string;
  readonly renewAtMs: number;
  readonly expiresAtMs: number;
}

const rejectionIntervalMs = 10_000;
const firstBackOffMs = 1_000;
const longestBackOffMs = 60_000;

/** Keeps a distance from the end, since a request takes time to arrive; renews at 75 to 90 % of what is left. */
function toHeldToken(
  { accessToken, expiresInSeconds = 0 }: FetchedToken,
  askedAtMs: number,
  random: number,
): HeldToken {
  const lifetimeMs = Math.max(0, expiresInSeconds * 1000);
  const usableMs = lifetimeMs - Math.min(10_000, lifetimeMs / 10);
  return {
    accessToken,
    renewAtMs: askedAtMs + usableMs * (0.75 + 0.15 * random),
    expiresAtMs: askedAtMs + usableMs,
  };
}

/** @see {@link TokenSource} */
export function createTokenSource(options: TokenSourceOptions): TokenSource {
  const { fetchToken, monotonicMs, random, onError } = options;
  let held: HeldToken | undefined;
  let renewal: Promise<string> | undefined;
  let failures = 0;
  let failure: { readonly error: unknown; readonly untilMs: number } | undefined;
  let rejectedAtMs = Number.NEGATIVE_INFINITY;

  async function fetchOne(): Promise<string> {
    const askedAtMs = monotonicMs();
    try {
      const fetched = await fetchToken();
      held = toHeldToken(fetched, askedAtMs, random());
      failures = 0;
      failure = undefined;
      return fetched.accessToken;
    } catch (error) {
      const backOffMs = Math.min(longestBackOffMs, firstBackOffMs * 2 ** failures) * (0.5 + 0.5 * random());
      failures += 1;
      failure = { error, untilMs: monotonicMs() + Math.max(backOffMs, findRetryDelayMs(error) ?? 0) };
      onError?.(error);
      throw error;
    }
  }

  function renew(): Promise<string> {
    if (renewal === undefined && failure !== undefined && monotonicMs() < failure.untilMs) {
      return Promise.reject(failure.error);
    }
    renewal ??= fetchOne().finally(() => {
      renewal = undefined;
    });
    return renewal;
  }

  return {
    async get(signal) {
      signal?.throwIfAborted();
      const nowMs = monotonicMs();
      if (held === undefined || nowMs >= held.expiresAtMs) return await untilAborted(renew(), signal);
      if (nowMs >= held.renewAtMs) renew().catch(() => {});
      return held.accessToken;
    },
    reject(token) {
      if (held?.accessToken !== token) return true;
      const nowMs = monotonicMs();
      if (nowMs - rejectedAtMs < rejectionIntervalMs) return false;
      rejectedAtMs = nowMs;
      held = undefined;
      return true;
    },
  };
}
