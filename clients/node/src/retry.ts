/**
 * Another try for what failed with `unavailable`, and only where repeating it
 * cannot do it twice.
 */
import { setTimeout as wait } from "node:timers/promises";
import { MethodOptions_IdempotencyLevel as IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type Interceptor, type UnaryRequest } from "@connectrpc/connect";
import { findRetryDelayMs } from "../../shared/src/errors.ts";

/** How often and how soon to try again. */
export interface RetryPolicy {
  /** Tries in all, the first included. Default 4; 1 means no retry. */
  readonly maxAttempts: number;
  /** Upper bound of the first wait, doubled for each further one. Default 100. */
  readonly initialDelayMs: number;
  /** Upper bound of every wait. Default 2000. */
  readonly maxDelayMs: number;
  /** A server that asks for a longer wait than this is not tried again. Default 10000. */
  readonly maxServerDelayMs: number;
}

/** The policy unless told otherwise. */
export const defaultRetryPolicy: RetryPolicy = {
  maxAttempts: 4,
  initialDelayMs: 100,
  maxDelayMs: 2_000,
  maxServerDelayMs: 10_000,
};

/** Runs an operation until it succeeds, fails for good, or the signal is aborted. */
export type Retry = <T>(operation: () => Promise<T>, signal?: AbortSignal) => Promise<T>;

/** What retrying needs from its surroundings. */
export interface RetrySurroundings {
  /** A number from 0 up to 1. */
  readonly random: () => number;
  /** Resolves after that time; rejects as soon as the signal is aborted. */
  readonly sleep: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
}

const systemSurroundings: RetrySurroundings = {
  random: Math.random,
  sleep: async (ms, signal) => {
    await wait(ms, undefined, signal === undefined ? {} : { signal });
  },
};

/**
 * Retries by a policy: exponential back-off with full jitter, so that clients
 * which failed together do not come back together. A delay that the server
 * asked for comes before the jitter.
 */
export function createRetry(policy: RetryPolicy, { random, sleep } = systemSurroundings): Retry {
  return async (operation, signal) => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await operation();
      } catch (error) {
        const isWorthIt = ConnectError.from(error).code === Code.Unavailable && !signal?.aborted;
        if (!isWorthIt || attempt >= policy.maxAttempts) throw error;
        const serverDelayMs = findRetryDelayMs(error) ?? 0;
        if (serverDelayMs > policy.maxServerDelayMs) throw error;
        const ceilingMs = Math.min(policy.maxDelayMs, policy.initialDelayMs * 2 ** (attempt - 1));
        await sleep(serverDelayMs + random() * ceilingMs, signal);
      }
    }
  };
}

/** Retries calls whose method declares that it may be repeated, and requests for tokens. */
export function createRetryInterceptor(retry: Retry): Interceptor {
  return (next) => async (request) => {
    if (request.stream || !isRepeatable(request)) return await next(request);
    return await retry(() => next(request), request.signal);
  };
}

function isRepeatable({ method, message }: UnaryRequest): boolean {
  if (method.idempotency !== IdempotencyLevel.IDEMPOTENCY_UNKNOWN) return true;
  const isTokenRequest = method.parent.typeName === "vestibule.v1.AuthService" && method.name === "AuthToken";
  // An assertion is single use: the server may have seen it although the answer was lost.
  return isTokenRequest && "assertion" in message && message.assertion === "";
}
