import type { IncomingMessage, ServerResponse } from "node:http";
import type { AccessTokenClaims } from "../verify/claims.ts";
import type { Verifier } from "../verify/verifier.ts";
import { authorize, type BearerOptions, findRefusal, type Refusal } from "./bearer.ts";

/** What is read of a request, whichever version of HTTP it came by. */
export interface RequestLike {
  readonly headers: { readonly authorization?: string | undefined };
}

/** What is written to of a response. */
export interface ResponseLike {
  writeHead(status: number, headers: Record<string, string>): unknown;
  end(body: string): unknown;
}

/**
 * Lets a `node:http` or `node:http2` handler see requests with a good access
 * token only, and hands it the token's claims. All others are answered here.
 *
 * What the handler throws is the returned function's, as it would be without.
 */
export function withAccessToken<
  Request extends RequestLike = IncomingMessage,
  Response extends ResponseLike = ServerResponse,
>(
  verifier: Verifier,
  handler: (request: Request, response: Response, claims: AccessTokenClaims) => unknown,
  options: BearerOptions = {},
): (request: Request, response: Response) => Promise<void> {
  return async (request, response) => {
    let claims: AccessTokenClaims;
    try {
      claims = await authorize(verifier, request.headers.authorization, options);
    } catch (error) {
      sendRefusal(response, findRefusal(error, options) ?? internalError);
      return;
    }
    await handler(request, response, claims);
  };
}

/** The answer when verifying failed for a reason of its own, which is not told. */
export const internalError = {
  status: 500,
  headers: {},
  body: { error: "server_error", error_description: "the token could not be verified" },
} as const;

/** Answers a request that was refused. */
export function sendRefusal(response: ResponseLike, refusal: Refusal | typeof internalError): void {
  response.writeHead(refusal.status, { ...refusal.headers, "content-type": "application/json" });
  response.end(JSON.stringify(refusal.body));
}
