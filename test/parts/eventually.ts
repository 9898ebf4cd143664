import { vi } from "vitest";

/**
 * Waits until `check` no longer throws, and answers what it answers. Longer
 * than anything takes on a busy machine: only a test that fails waits it out.
 */
export function eventually<T>(check: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(check, { timeout: 10_000, interval: 20 });
}
