import type { VerificationKey } from "./key-set.ts";

/** A token whose signature was checked, and by which key. */
export interface VerifiedToken<C> {
  readonly kid: string;
  /** The token is as good as this key still is. */
  readonly key: VerificationKey;
  readonly claims: C;
}

/** Remembers verified tokens, the ones used last. */
export interface VerifiedTokens<C> {
  find(token: string): VerifiedToken<C> | undefined;
  add(token: string, verified: VerifiedToken<C>): void;
  remove(token: string): void;
}

/** @param capacity how many; 0 remembers none. */
export function createVerifiedTokens<C>(capacity: number): VerifiedTokens<C> {
  // A Map keeps the order of insertion: the first key is the one not used for longest.
  const entries = new Map<string, VerifiedToken<C>>();
  return {
    find(token) {
      const verified = entries.get(token);
      if (verified === undefined) return undefined;
      entries.delete(token);
      entries.set(token, verified);
      return verified;
    },
    add(token, verified) {
      entries.set(token, verified);
      if (entries.size <= capacity) return;
      const [oldest = ""] = entries.keys();
      entries.delete(oldest);
    },
    remove(token) {
      entries.delete(token);
    },
  };
}
