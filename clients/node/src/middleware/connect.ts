/** `@vestibule/node/connect`: access tokens for Connect servers. */
import {
  Code,
  ConnectError,
  type ContextValues,
  createContextKey,
  type Interceptor,
  type StreamRequest,
  type UnaryRequest,
} from "@connectrpc/connect";
import type { AccessTokenClaims } from "../verify/claims.ts";
import type { Verifier } from "../verify/verifier.ts";
import { authorize, type BearerOptions, findRefusal, type Refusal } from "./bearer.ts";

export type { BearerOptions } from "./bearer.ts";

/** Where the claims are in a handler's `context.values`; undefined for public methods. */
export const claimsKey = createContextKey<AccessTokenClaims | undefined>(undefined, {
  description: "claims of the access token",
});

/**
 * The claims of the caller's access token.
 *
 * @throws ConnectError `internal` where the interceptor did not run, so that a
 *   handler never goes on without a caller.
 */
export function getClaims({ values }: { readonly values: ContextValues }): AccessTokenClaims {
  const claims = values.get(claimsKey);
  if (claims === undefined) throw new ConnectError("the method takes no access tokens", Code.Internal);
  return claims;
}

/** How the interceptor checks access tokens, and which methods go without. */
export interface AccessTokenInterceptorOptions extends BearerOptions {
  /** Methods that need no token, e.g. health checks. Default: none. */
  readonly isPublic?: (request: UnaryRequest | StreamRequest) => boolean;
}

const codes = {
  400: Code.Unauthenticated,
  401: Code.Unauthenticated,
  403: Code.PermissionDenied,
  503: Code.Unavailable,
} as const satisfies Record<Refusal["status"], Code>;

/** A server-side interceptor: handlers see calls with a good access token only. */
export function createAccessTokenInterceptor(
  verifier: Verifier,
  options: AccessTokenInterceptorOptions = {},
): Interceptor {
  return (next) => async (request) => {
    if (options.isPublic?.(request)) return await next(request);
    const claims = await authorize(verifier, request.header.get("authorization"), options).catch(
      (error: unknown) => {
        const refusal = findRefusal(error, options);
        if (refusal === undefined) throw error;
        throw new ConnectError(refusal.body.error_description, codes[refusal.status], refusal.headers);
      },
    );
    request.contextValues.set(claimsKey, claims);
    return await next(request);
  };
}
