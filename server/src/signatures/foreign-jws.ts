/**
 * Signatures that others made: on providers' JWTs, assertions and ID tokens.
 *
 * `jose` verifies them. It takes compact forms that have a second spelling
 * (padding, spaces, bits that mean nothing), so what it is given has passed
 * the strict reading of `compact-jws.ts`, and the key that of `public-key.ts`.
 */
import type { KeyObject } from "node:crypto";
import { compactVerify, errors } from "jose";
import type { SignatureAlgorithm } from "./algorithms.ts";
import type { CompactJws } from "./compact-jws.ts";

/**
 * Whether one of the keys, all of which are for the algorithm, made the signature.
 *
 * @throws JOSEError for a key that is not for the algorithm.
 */
export async function isSignedByOne(
  jws: CompactJws,
  algorithm: SignatureAlgorithm,
  keys: readonly { readonly publicKey: KeyObject }[],
): Promise<boolean> {
  for (const { publicKey } of keys) {
    if (await isSignedBy(jws, algorithm, publicKey)) return true;
  }
  return false;
}

async function isSignedBy(jws: CompactJws, algorithm: SignatureAlgorithm, key: KeyObject): Promise<boolean> {
  if (!isOfFullLength(key, jws.signature)) return false;
  try {
    await compactVerify(jws.text, key, { algorithms: [algorithm] });
    return true;
  } catch (error) {
    if (error instanceof errors.JWSSignatureVerificationFailed) return false;
    throw error;
  }
}

/** An RSA signature is as long as its modulus (RFC 8017 §8.1.2); OpenSSL takes RSASSA-PSS without the zeros it begins with. */
export function isOfFullLength(key: KeyObject, signature: Buffer): boolean {
  const { modulusLength } = key.asymmetricKeyDetails ?? {};
  return modulusLength === undefined || signature.length === Math.ceil(modulusLength / 8);
}
