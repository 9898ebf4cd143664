/** Telling a provider that is down from one that says no. */
import { EgressError } from "../egress/egress-error.ts";
import { DomainError } from "../lib/errors.ts";

/** How long all requests to a provider for one call may take, in milliseconds: an answer is owed within ten seconds. */
const patienceMs = 8_500;

/** What a caller is told while a provider is down. */
export function providerUnavailable(name: string, cause: unknown): DomainError {
  return new DomainError("UNAVAILABLE", {
    message: `identity provider ${name} cannot be reached, try again or sign in another way`,
    detail: cause instanceof Error ? cause.message : "no answer",
    cause,
  });
}

/**
 * Waits for what takes several requests to a provider, each of which may be
 * slow, no longer than an answer may take. What comes later is dropped.
 *
 * @throws DomainError UNAVAILABLE by the provider's name, and what the work throws
 */
export async function withPatience<T>(name: string, work: () => Promise<T>): Promise<T> {
  return await beginPatience(name)(work);
}

/** One patience for several steps: for each, as {@link withPatience}, what the ones before it have left. */
export function beginPatience(name: string): <T>(work: () => Promise<T>) => Promise<T> {
  const endsAt = performance.now() + patienceMs;
  return async (work) => {
    const { promise, reject } = Promise.withResolvers<never>();
    const tooLate = new Error(`no answer within ${patienceMs / 1000} s`);
    const leftMs = Math.max(0, endsAt - performance.now());
    const timer = setTimeout(() => reject(providerUnavailable(name, tooLate)), leftMs);
    return await Promise.race([work(), promise]).finally(() => clearTimeout(timer));
  };
}

/** Whether a failure means that the provider could not be reached, and says nothing of the visitor. */
export function isOutage(error: unknown): boolean {
  for (let cause: unknown = error; cause !== undefined; cause = (cause as Error).cause) {
    if (cause instanceof EgressError) return true;
    if (cause instanceof DomainError && cause.kind === "unavailable") return true;
    // The library hands the answer on as the cause; GitHub's site notes its status.
    const { status } = cause as { status?: unknown };
    if (typeof status === "number") return status >= 500 || status === 429;
    if (!(cause instanceof Error)) return false;
  }
  return false;
}
