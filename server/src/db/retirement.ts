/** A database that this process may not use any more, though it could. */
import { DomainError } from "../lib/errors.ts";

/** Once retired, no connection is handed out any more, for as long as the process lives. */
export class Retirement {
  #detail: string | undefined;
  readonly #listeners = new Set<(isThere: boolean) => void>();

  /** @param why for operators */
  retire(why: string): void {
    if (this.#detail !== undefined) return;
    this.#detail = `database: ${why}`;
    for (const listener of this.#listeners) listener(false);
  }

  /** @throws DomainError UNAVAILABLE once retired */
  require(): void {
    if (this.#detail !== undefined) throw new DomainError("UNAVAILABLE", { detail: this.#detail });
  }

  /** Calls the listener with false when that happens. Returns what ends that. */
  subscribe(listener: (isThere: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
