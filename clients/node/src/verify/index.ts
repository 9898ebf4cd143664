/** `@vestibule/node/verify`: access tokens, and assertions of the gate, verified where they are used. */
export type { Clock } from "../clock.ts";
export type { AuthorizedRequest, BearerOptions, PrincipalType } from "../middleware/bearer.ts";
export { type GateOptions, withGateAssertion } from "../middleware/gate.ts";
export { withAccessToken } from "../middleware/http.ts";
export { type AccessTokenClaims, isInOrganization } from "./claims.ts";
export {
  createGateVerifier,
  type GateAssertionClaims,
  type GateVerifier,
  type GateVerifierOptions,
} from "./gate-assertion.ts";
export { createRoleCheck, type RoleCheck, type RoleCheckOptions, type RoleQuestion } from "./role-check.ts";
export { findRole, hasRole, type Role } from "./roles.ts";
export {
  KeySetUnavailableError,
  RoleCheckUnavailableError,
  TokenError,
  type TokenProblem,
} from "./token-error.ts";
export { createVerifier, type Verifier, type VerifierOptions } from "./verifier.ts";
