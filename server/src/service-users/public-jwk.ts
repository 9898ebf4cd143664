/**
 * Public keys that service users sign assertions with: which ones are taken,
 * and the one algorithm each is pinned to.
 */
import { createPublicKey, type KeyObject } from "node:crypto";
import { invalidField } from "../lib/invalid-field.ts";
import { listNames, type SigningAlgorithm } from "../signatures/algorithms.ts";
import { type Jwk, readPublicKey, UnusableKey, type VerifyingKey } from "../signatures/public-key.ts";

/** A public key as stored and answered: canonical members only (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2). */
export interface PublicJwk {
  readonly kty: "RSA" | "EC" | "OKP";
  /** The one algorithm that the key may be used with. */
  readonly alg: SigningAlgorithm;
  readonly use: "sig";
  readonly kid: string;
  readonly n?: string;
  readonly e?: string;
  readonly crv?: "P-256" | "Ed25519";
  readonly x?: string;
  readonly y?: string;
}

/** What a key that is sent may be for. */
const accepted = (["RS256", "ES256", "EdDSA"] as const).flatMap(listNames);

/**
 * Reads a key that a caller registers. Its own `kid` and members that are not
 * the key's are dropped.
 *
 * @throws DomainError INVALID_REQUEST, naming the member, for a private half, a weak or
 *   malformed key, an unknown type or curve, or a purpose other than signing.
 */
export function readPublicJwk(jwk: Jwk, kid: string): PublicJwk {
  return toPublicJwk(readKey(jwk).publicKey, kid);
}

function readKey(jwk: Jwk): VerifyingKey {
  try {
    return readPublicKey(jwk, accepted);
  } catch (error) {
    if (!(error instanceof UnusableKey)) throw error;
    throw invalidField(error.member === "" ? "public_jwk" : `public_jwk.${error.member}`, error.message);
  }
}

const algorithmsByType: Record<string, SigningAlgorithm> = { rsa: "RS256", ec: "ES256", ed25519: "EdDSA" };

/** The public half of a key, RSA, P-256 or Ed25519, as it is stored and answered. */
export function toPublicJwk(key: KeyObject, kid: string): PublicJwk {
  const alg = algorithmsByType[key.asymmetricKeyType ?? ""];
  if (alg === undefined) throw new Error("a key of a type that is not stored");
  const members = key.export({ format: "jwk" }) as Pick<PublicJwk, "kty" | "n" | "e" | "crv" | "x" | "y">;
  return { ...members, alg, use: "sig", kid };
}

/** A stored key, ready for verifying with the algorithm it names. */
export function toPublicKey(jwk: PublicJwk): KeyObject {
  return createPublicKey({ key: { ...jwk }, format: "jwk" });
}
