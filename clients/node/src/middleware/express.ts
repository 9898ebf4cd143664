/** `@vestibule/node/express`: access tokens, and the gate's assertions, for Express 5. */

import type { AccessTokenClaims } from "../verify/claims.ts";
import type { GateAssertionClaims, GateVerifier } from "../verify/gate-assertion.ts";
import type { Role } from "../verify/roles.ts";
import type { Verifier } from "../verify/verifier.ts";
import { authorize, type BearerOptions, findRefusal } from "./bearer.ts";
import { checkGate, findGateRefusal, type GateOptions, type GateRequestLike } from "./gate.ts";
import { type RequestLike, type ResponseLike, sendRefusal } from "./http.ts";
import { checkRole, type RoleOptions } from "./role.ts";

export type { BearerOptions } from "./bearer.ts";
export type { GateOptions } from "./gate.ts";
export type { RoleOptions } from "./role.ts";

declare global {
  namespace Express {
    interface Request {
      /** Claims of the access token, behind {@link requireAccessToken}. */
      claims?: AccessTokenClaims;
      /** What the gate says of the request, behind {@link requireGateAssertion}. */
      gate?: GateAssertionClaims;
    }
  }
}

/** An Express request handler, without Express's types. */
export type RequestHandler = (
  request: RequestLike & { claims?: AccessTokenClaims },
  response: ResponseLike,
  next: (error?: unknown) => void,
) => Promise<void>;

/**
 * Passes on requests with a good access token, its claims in
 * `request.claims`, and answers all others by RFC 6750.
 */
export function requireAccessToken(verifier: Verifier, options: BearerOptions = {}): RequestHandler {
  return async (request, response, next) => {
    try {
      request.claims = await authorize(verifier, request.headers.authorization, options);
    } catch (error) {
      const refusal = findRefusal(error, options);
      if (refusal === undefined) next(error);
      else sendRefusal(response, refusal);
      return;
    }
    next();
  };
}

/** A request behind {@link requireAccessToken}, as far as a role depends on it. */
export interface RoleRequest extends RequestLike {
  claims?: AccessTokenClaims;
  readonly params: Readonly<Record<string, string | readonly string[]>>;
}

/** A request handler for {@link RoleRequest}. */
export type RoleRequestHandler = (
  request: RoleRequest,
  response: ResponseLike,
  next: (error?: unknown) => void,
) => Promise<void>;

/**
 * Passes on requests whose caller has a role in an organization, or a stronger
 * one, and answers all others with 403. Stands behind {@link requireAccessToken}.
 */
export function requireRole(role: Role, options: RoleOptions<RoleRequest>): RoleRequestHandler {
  return async (request, response, next) => {
    try {
      await checkRole(request, role, options);
    } catch (error) {
      const refusal = findRefusal(error, options);
      if (refusal === undefined) next(error);
      else sendRefusal(response, refusal);
      return;
    }
    next();
  };
}

/** The same for the gate; good for whatever takes `(request, response, next)`. */
export type GateRequestHandler = (
  request: GateRequestLike & { gate?: GateAssertionClaims },
  response: ResponseLike,
  next: (error?: unknown) => void,
) => Promise<void>;

/**
 * Passes on requests that came through the gate, with what it says of them in
 * `request.gate`, and answers all others with 403.
 */
export function requireGateAssertion(verifier: GateVerifier, options: GateOptions = {}): GateRequestHandler {
  return async (request, response, next) => {
    try {
      request.gate = await checkGate(verifier, request, options);
    } catch (error) {
      const refusal = findGateRefusal(error);
      if (refusal === undefined) next(error);
      else sendRefusal(response, refusal);
      return;
    }
    next();
  };
}
