import { invalidField } from "../lib/invalid-request.ts";
import { listNames } from "../signatures/algorithms.ts";
import { type PublicJwk, toPublicJwk } from "../signatures/public-jwk.ts";
import { type Jwk, readPublicKey, UnusableKey } from "../signatures/public-key.ts";

/** What a key that is sent may be for. */
const accepted = (["RS256", "ES256", "EdDSA"] as const).flatMap(listNames);

/**
 * Reads a key that a caller registers, and pins it to its one algorithm. Its
 * own `kid` and members that are not the key's are dropped.
 *
 * @throws DomainError INVALID_REQUEST, naming the member, for a private half, a weak or
 *   malformed key, an unknown type or curve, or a purpose other than signing.
 */
export function readPublicJwk(jwk: Jwk, kid: string): PublicJwk {
  try {
    return toPublicJwk(readPublicKey(jwk, accepted).publicKey, kid);
  } catch (error) {
    if (!(error instanceof UnusableKey)) throw error;
    throw invalidField(error.member === "" ? "public_jwk" : `public_jwk.${error.member}`, error.message);
  }
}
