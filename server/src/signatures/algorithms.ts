/**
 * The signature algorithms that tokens of other issuers may use (RFC 7518
 * §3.1, RFC 8037 §3.1, RFC 9864). All have a public key; `none` and the
 * symmetric ones do not exist here.
 */
import { constants, type KeyObject, type SigningOptions, verify } from "node:crypto";

/** Every algorithm, by JOSE name. */
export const signatureAlgorithms = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
] as const;

/** JOSE name of an algorithm. */
export type SignatureAlgorithm = (typeof signatureAlgorithms)[number];

interface Algorithm {
  /** `kty` and, if it takes one, `crv` of its keys. */
  readonly keyType: "RSA" | "EC" | "OKP";
  readonly curve?: string;
  readonly digest: string | null;
  readonly options: SigningOptions;
}

const rsa = (digest: string): Algorithm => ({ keyType: "RSA", digest, options: {} });
const pss = (digest: string): Algorithm => ({
  keyType: "RSA",
  digest,
  options: { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST },
});
const ecdsa = (curve: string, digest: string): Algorithm => ({
  keyType: "EC",
  curve,
  digest,
  options: { dsaEncoding: "ieee-p1363" },
});
const ed25519: Algorithm = { keyType: "OKP", curve: "Ed25519", digest: null, options: {} };

const algorithms: Record<SignatureAlgorithm, Algorithm> = {
  RS256: rsa("sha256"),
  RS384: rsa("sha384"),
  RS512: rsa("sha512"),
  PS256: pss("sha256"),
  PS384: pss("sha384"),
  PS512: pss("sha512"),
  ES256: ecdsa("P-256", "sha256"),
  ES384: ecdsa("P-384", "sha384"),
  ES512: ecdsa("P-521", "sha512"),
  EdDSA: ed25519,
  Ed25519: ed25519,
};

/** Whether a header's `alg` is one of ours. */
export function isSignatureAlgorithm(value: unknown): value is SignatureAlgorithm {
  return typeof value === "string" && Object.hasOwn(algorithms, value);
}

/** Whether a key of this `kty` and `crv` can make signatures of the algorithm. */
export function fitsKey(algorithm: SignatureAlgorithm, keyType: string, curve: string | undefined): boolean {
  const known = algorithms[algorithm];
  return known.keyType === keyType && (known.curve === undefined || known.curve === curve);
}

/** Whether `signature` is that of `data` under the key, which fits the algorithm. */
export function isSignatureBy(
  algorithm: SignatureAlgorithm,
  key: KeyObject,
  data: Buffer,
  signature: Buffer,
): boolean {
  const { digest, options } = algorithms[algorithm];
  return verify(digest, data, { key, ...options }, signature);
}
