/** How long a provider is waited for. */
import { ProviderFailure } from "./provider-failure.ts";

/** How long all requests to a provider for one call may take, in milliseconds: an answer is owed within ten seconds. */
const patienceMs = 8_500;

/**
 * Waits for what takes several requests to a provider, each of which may be
 * slow, no longer than an answer may take. What comes later is dropped.
 *
 * @throws ProviderFailure when it takes longer, and what the work throws
 */
export async function withPatience<T>(work: () => Promise<T>): Promise<T> {
  return await beginPatience()(work);
}

/** One patience for several steps: for each, as {@link withPatience}, what the ones before it have left. */
export function beginPatience(): <T>(work: () => Promise<T>) => Promise<T> {
  const endsAt = performance.now() + patienceMs;
  return async (work) => {
    const { promise, reject } = Promise.withResolvers<never>();
    const tooLate = new ProviderFailure({
      kind: "unreachable",
      reason: "timeout",
      detail: `no answer within ${patienceMs / 1000} s`,
    });
    const leftMs = Math.max(0, endsAt - performance.now());
    const timer = setTimeout(() => reject(tooLate), leftMs);
    return await Promise.race([work(), promise]).finally(() => clearTimeout(timer));
  };
}
