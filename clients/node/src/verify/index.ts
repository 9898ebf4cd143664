/** `@vestibule/node/verify`: access tokens verified where they are used. */
export type { Clock } from "../clock.ts";
export type { AuthorizedRequest, BearerOptions, PrincipalType } from "../middleware/bearer.ts";
export { withAccessToken } from "../middleware/http.ts";
export { AccessTokenError, type AccessTokenProblem, KeySetUnavailableError } from "./access-token-error.ts";
export { type AccessTokenClaims, isInOrganization } from "./claims.ts";
export { createVerifier, type Verifier, type VerifierOptions } from "./verifier.ts";
