/**
 * Signatures that others made: on providers' JWTs, assertions and ID tokens.
 *
 * Those of the algorithms that we sign with are verified as our own are, which
 * takes half the time. `jose` verifies the others. It takes compact forms that
 * have a second spelling (padding, spaces, bits that mean nothing), so what it is
 * given has passed the strict reading of `compact-jws.ts`, and the key that of
 * `public-key.ts`.
 */
import type { KeyObject } from "node:crypto";
import { compactVerify, errors } from "jose";
import { getKeyType, type SignatureAlgorithm, type SigningAlgorithm } from "./algorithms.ts";
import type { CompactJws } from "./compact-jws.ts";
import { isSignatureOf } from "./signing.ts";

/** The algorithms that we sign with, by their names. */
const ownAlgorithms: Partial<Record<SignatureAlgorithm, SigningAlgorithm>> = {
  ES256: "ES256",
  RS256: "RS256",
  EdDSA: "EdDSA",
  Ed25519: "EdDSA",
};

/**
 * Whether one of the keys, all of which are for the algorithm, made the signature.
 *
 * @throws Error for a key that is not for the algorithm.
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

function isSignedBy(
  jws: CompactJws,
  algorithm: SignatureAlgorithm,
  key: KeyObject,
): boolean | Promise<boolean> {
  if (!isOfFullLength(key, jws.signature)) return false;
  const own = ownAlgorithms[algorithm];
  if (own === undefined) return isSignedByJose(jws, algorithm, key);
  // A key says itself what it verifies, whatever the algorithm: that must never be the token's choice.
  if (!isKeyOf(algorithm, key)) throw new Error(`a key that is not for ${algorithm}`);
  return isSignatureOf(own, key, jws.signed, jws.signature);
}

async function isSignedByJose(
  jws: CompactJws,
  algorithm: SignatureAlgorithm,
  key: KeyObject,
): Promise<boolean> {
  try {
    await compactVerify(jws.text, key, { algorithms: [algorithm] });
    return true;
  } catch (error) {
    if (error instanceof errors.JWSSignatureVerificationFailed) return false;
    throw error;
  }
}

/** How node:crypto names P-256. */
const p256 = "prime256v1";

function isKeyOf(
  algorithm: SignatureAlgorithm,
  { asymmetricKeyType, asymmetricKeyDetails }: KeyObject,
): boolean {
  switch (getKeyType(algorithm).keyType) {
    case "RSA":
      return asymmetricKeyType === "rsa";
    case "EC":
      return asymmetricKeyType === "ec" && asymmetricKeyDetails?.namedCurve === p256;
    case "OKP":
      return asymmetricKeyType === "ed25519";
  }
}

/** An RSA signature is as long as its modulus (RFC 8017 §8.1.2); OpenSSL takes RSASSA-PSS without the zeros it begins with. */
export function isOfFullLength(key: KeyObject, signature: Buffer): boolean {
  const { modulusLength } = key.asymmetricKeyDetails ?? {};
  return modulusLength === undefined || signature.length === Math.ceil(modulusLength / 8);
}
