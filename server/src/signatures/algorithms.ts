/**
 * The signature algorithms that are spoken here (RFC 7518 §3.1, RFC 8037 §3.1,
 * RFC 9864). All have a public key; `none` and the symmetric ones do not exist.
 *
 * This room owns the cryptography of keys and signatures. It fetches and stores
 * no key, and never says whom a key belongs to or whether a token's claims hold.
 */

/** `kty` and, where there are several, `crv` of an algorithm's keys. */
interface KeyType {
  readonly keyType: "RSA" | "EC" | "OKP";
  readonly curve?: string;
}

const rsa: KeyType = { keyType: "RSA" };
const ed25519: KeyType = { keyType: "OKP", curve: "Ed25519" };

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

/** An algorithm that our own tokens and those of service users are signed with. */
export type SigningAlgorithm = Extract<SignatureAlgorithm, "ES256" | "RS256" | "EdDSA">;

const keyTypes: Record<SignatureAlgorithm, KeyType> = {
  RS256: rsa,
  RS384: rsa,
  RS512: rsa,
  PS256: rsa,
  PS384: rsa,
  PS512: rsa,
  ES256: { keyType: "EC", curve: "P-256" },
  ES384: { keyType: "EC", curve: "P-384" },
  ES512: { keyType: "EC", curve: "P-521" },
  EdDSA: ed25519,
  Ed25519: ed25519,
};

/** Whether a header's `alg` is one of ours. */
export function isSignatureAlgorithm(value: unknown): value is SignatureAlgorithm {
  return typeof value === "string" && Object.hasOwn(keyTypes, value);
}

/** What keys of the algorithm are. */
export function getKeyType(algorithm: SignatureAlgorithm): KeyType {
  return keyTypes[algorithm];
}

/** Its names: EdDSA with an Ed25519 key has another since RFC 9864 (§2.2), and libraries use either. */
export function listNames(algorithm: SignatureAlgorithm): readonly SignatureAlgorithm[] {
  return algorithm === "EdDSA" || algorithm === "Ed25519" ? ["EdDSA", "Ed25519"] : [algorithm];
}

/** Whether a header's or a key's `alg` is a name of the algorithm. */
export function isNameOf(alg: unknown, algorithm: SignatureAlgorithm): boolean {
  return isSignatureAlgorithm(alg) && listNames(algorithm).includes(alg);
}
