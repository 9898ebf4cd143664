import { type AccessTokenClaims, isAccessTokenClaims } from "./claims.ts";
import { createTokenVerifier, type TokenVerifierOptions } from "./token-verifier.ts";

/** Whose access tokens a verifier takes, and by which keys. */
export interface VerifierOptions extends TokenVerifierOptions {
  /** Who a token has to be for: this resource server's name, or names. Vestibule's default is its issuer. */
  readonly audience: string | readonly string[];
}

/** Judges access tokens. */
export interface Verifier {
  /**
   * Answers the claims of a good token, frozen.
   *
   * @throws TokenError when the token is not good; its reason says why.
   * @throws KeySetUnavailableError when that cannot be said.
   */
  verifyAccessToken(token: string): Promise<AccessTokenClaims>;
}

/**
 * Verifies access tokens where they are used (RFC 9068 §4). Revocations before
 * a token's end are known to the issuer only: ask `/oauth2/introspect` where
 * they matter at once.
 *
 * @throws TypeError for options that cannot be.
 */
export function createVerifier(options: VerifierOptions): Verifier {
  return {
    verifyAccessToken: createTokenVerifier(
      {
        // RFC 9068 §4: with and without the prefix.
        types: ["at+jwt", "application/at+jwt"],
        noun: "an access token",
        isClaims: isAccessTokenClaims,
      },
      options,
    ),
  };
}
