/** A signing key as stored, and its states: published, signing, verifying, gone. */
import type { SigningAlgorithm } from "../signatures/algorithms.ts";
import type { PublicJwk } from "../signatures/public-jwk.ts";

/** A signing key as stored, its private half sealed. */
export interface SigningKey {
  /** RFC 7638 thumbprint of the public key. */
  readonly kid: string;
  readonly algorithm: SigningAlgorithm;
  readonly publicJwk: PublicJwk;
  readonly sealedPrivateKey: string;
  readonly createdAt: Date;
  /** Published from the start, it may sign from this instant on. */
  readonly signsFromAt: Date;
  /** When the last token it signed has expired; absent while it has no successor. */
  readonly retiresAt?: Date;
}

/** State of a signing key at an instant. */
export type SigningKeyState = "published" | "signing" | "verifying" | "retired";

/**
 * The key that signs at `now`: of those that may, the one that may since last.
 * When none may yet, because this process's clock is behind the one that made
 * them, the one that may first.
 */
export function findSigner(keys: readonly SigningKey[], now: Date): SigningKey | undefined {
  const may = keys.filter((key) => key.signsFromAt <= now).toSorted(bySuccession);
  return may.at(-1) ?? keys.toSorted(bySuccession)[0];
}

/** Earlier ones first; of two that sign since the same instant the one with a successor. */
function bySuccession(a: SigningKey, b: SigningKey): number {
  const difference = a.signsFromAt.getTime() - b.signsFromAt.getTime();
  return difference === 0
    ? Number(b.retiresAt !== undefined) - Number(a.retiresAt !== undefined)
    : difference;
}

/** Whether tokens of the key are still good at `now`. */
export function isVerifying(key: SigningKey, now: Date): boolean {
  return key.retiresAt === undefined || key.retiresAt > now;
}

/** Tells the state of `key`, one of `keys`, at `now`. */
export function toSigningKeyState(key: SigningKey, keys: readonly SigningKey[], now: Date): SigningKeyState {
  if (!isVerifying(key, now)) return "retired";
  if (key.signsFromAt > now) return "published";
  return findSigner(keys, now)?.kid === key.kid ? "signing" : "verifying";
}
