/** Key sets of other issuers (RFC 7517 §5), read for verifying signatures. */
import { createPublicKey, type JsonWebKey, type KeyObject } from "node:crypto";
import { fitsKey, isSignatureAlgorithm, type SignatureAlgorithm } from "./algorithms.ts";

/** A key that can verify. */
export interface VerifyingKey {
  readonly kid: string | undefined;
  readonly keyType: string;
  readonly curve: string | undefined;
  /** The one algorithm the set names for it, if it does. */
  readonly algorithm: string | undefined;
  readonly publicKey: KeyObject;
}

/** What a key set is good for. */
export interface KeySet {
  readonly keys: readonly VerifyingKey[];
  /** How many more it has that cannot be used, for each cause. */
  readonly unusable: ReadonlyMap<string, number>;
}

/** Keys read of one set; real ones have a handful. */
const maxKeys = 100;

const minRsaBits = 2048;
/** Longer ones cost more to verify with than a stranger's token is worth. */
const maxRsaBits = 8192;
const maxRsaExponent = 2n ** 32n;

const readSets = new WeakMap<object, KeySet>();

/**
 * Reads a key set; what is no key, or is none for verifying, is counted and
 * passed over (RFC 7517 §5). The same object is read once.
 */
export function readKeySet(document: Readonly<Record<string, unknown>>): KeySet {
  const known = readSets.get(document);
  if (known !== undefined) return known;
  const listed = Array.isArray(document.keys) ? document.keys.slice(0, maxKeys) : [];
  const keys: VerifyingKey[] = [];
  const unusable = new Map<string, number>();
  for (const jwk of listed) {
    const key = readKey(jwk);
    if (typeof key === "string") unusable.set(key, (unusable.get(key) ?? 0) + 1);
    else keys.push(key);
  }
  const set = { keys, unusable };
  readSets.set(document, set);
  return set;
}

/** Keys of the set that may have made a signature of the algorithm. */
export function findFittingKeys({ keys }: KeySet, algorithm: SignatureAlgorithm): readonly VerifyingKey[] {
  return keys.filter(
    (key) =>
      fitsKey(algorithm, key.keyType, key.curve) &&
      (key.algorithm === undefined || key.algorithm === algorithm),
  );
}

/** The key, or why it cannot be used. */
function readKey(jwk: unknown): VerifyingKey | string {
  if (typeof jwk !== "object" || jwk === null) return "not a key";
  const { kid, kty, crv, alg, use, key_ops: operations } = jwk as Readonly<Record<string, unknown>>;
  if (typeof kty !== "string" || !["RSA", "EC", "OKP"].includes(kty)) return "of an unsupported kind";
  if (use !== undefined && use !== "sig") return "not for signatures";
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes("verify"))) {
    return "not for verifying";
  }
  if (alg !== undefined && !isSignatureAlgorithm(alg)) return "for an unsupported algorithm";
  const publicKey = importKey(jwk as JsonWebKey);
  if (typeof publicKey === "string") return publicKey;
  return {
    kid: typeof kid === "string" ? kid : undefined,
    keyType: kty,
    curve: typeof crv === "string" ? crv : undefined,
    algorithm: alg,
    publicKey,
  };
}

function importKey(jwk: JsonWebKey): KeyObject | string {
  try {
    // A private half that an issuer published by mistake stays out of the key object.
    const { kty, crv, n, e, x, y } = jwk;
    const members = Object.entries({ kty, crv, n, e, x, y }).filter(([, value]) => value !== undefined);
    const key = createPublicKey({ key: Object.fromEntries(members), format: "jwk" });
    const { modulusLength: bits, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
    if (bits === undefined) return key;
    if (bits < minRsaBits) return `an RSA key of less than ${minRsaBits} bits`;
    if (bits > maxRsaBits || publicExponent > maxRsaExponent) return "an RSA key too large to use";
    return key;
  } catch {
    return "malformed";
  }
}
