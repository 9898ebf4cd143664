import { performance } from "node:perf_hooks";

/** How long a proof holds when nothing is known to have changed, in milliseconds. */
const holdsForMs = 500;

/** How many are kept at most. */
const maxKept = 10_000;

/**
 * Proofs that a caller may still watch, shared by streams with one credential:
 * when a thousand of them are told of a change, it is proven once.
 */
export class SharedProofs {
  readonly #proofs = new Map<string, { readonly proof: Promise<void>; readonly atMs: number }>();

  /** What proofs rest on may have changed: none of them holds any more. */
  doubt(): void {
    this.#proofs.clear();
  }

  /**
   * Resolves when the caller may.
   *
   * @param key names the caller's credential and what it watches.
   * @throws what `prove` throws.
   */
  prove(key: string, prove: () => Promise<void>): Promise<void> {
    const nowMs = performance.now();
    const known = this.#proofs.get(key);
    if (known !== undefined && nowMs - known.atMs < holdsForMs) return known.proof;
    if (this.#proofs.size >= maxKept) this.#proofs.clear();
    const proof = prove();
    this.#proofs.set(key, { proof, atMs: nowMs });
    // A refusal is for those who asked meanwhile.
    proof.catch(() => {
      if (this.#proofs.get(key)?.proof === proof) this.#proofs.delete(key);
    });
    return proof;
  }
}
