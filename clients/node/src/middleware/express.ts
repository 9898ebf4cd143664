/** `@vestibule/node/express`: access tokens for Express 5. */
import type { AccessTokenClaims } from "../verify/claims.ts";
import type { Verifier } from "../verify/verifier.ts";
import { authorize, type BearerOptions, findRefusal } from "./bearer.ts";
import { type RequestLike, type ResponseLike, sendRefusal } from "./http.ts";

export type { BearerOptions } from "./bearer.ts";

declare global {
  namespace Express {
    interface Request {
      /** Claims of the access token, behind {@link requireAccessToken}. */
      claims?: AccessTokenClaims;
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
