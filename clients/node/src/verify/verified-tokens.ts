import type { AccessTokenClaims } from "./claims.ts";
import type { VerificationKey } from "./key-set.ts";

/** A token whose signature was checked, and by which key. */
export interface VerifiedToken {
  readonly kid: string;
  /** The token is as good as this key still is. */
  readonly key: VerificationKey;
  readonly claims: AccessTokenClaims;
}

/** Remembers verified tokens, the ones used last. */
export interface VerifiedTokens {
  find(token: string): VerifiedToken | undefined;
  add(token: string, verified: VerifiedToken): void;
  remove(token: string): void;
}

/** @param capacity how many; 0 remembers none. */
export function createVerifiedTokens(capacity: number): VerifiedTokens {
  // A Map keeps the order of insertion: the first key is the one not used for longest.
  const entries = new Map<string, VerifiedToken>();
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
