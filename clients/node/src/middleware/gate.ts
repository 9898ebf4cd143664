/**
 * The gate's assertion on an HTTP request, and the answers when it does not do:
 * the one place that the middleware of every framework stands on.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { GateAssertionClaims, GateVerifier } from "../verify/gate-assertion.ts";
import { TokenError } from "../verify/token-error.ts";
import { findUnavailable, type Refusal } from "./bearer.ts";
import { internalError, type ResponseLike, sendRefusal } from "./http.ts";

/** What a request has to bring. */
export interface GateOptions {
  /** Header that carries the assertion. Default: `X-Vestibule-Assertion`, which every frontend sends. */
  readonly header?: string;
  /** Whether requests without an identity pass as well, as the frontend's public paths have them. Default: no. */
  readonly allowAnonymous?: boolean;
}

/** What is read of a request, whichever version of HTTP it came by. */
export interface GateRequestLike {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** The request did not come through the gate, or as nobody. */
class GateError extends Error {
  override readonly name = "GateError";
}

/**
 * Answers the claims of the assertion on a request.
 *
 * @throws an error that {@link findGateRefusal} turns into an answer.
 */
export async function checkGate(
  verifier: GateVerifier,
  { headers }: GateRequestLike,
  { header = "X-Vestibule-Assertion", allowAnonymous = false }: GateOptions,
): Promise<GateAssertionClaims> {
  const assertion = headers[header.toLowerCase()];
  // Node joins lines of one name to a text that is no assertion: two are as bad as none.
  if (typeof assertion !== "string" || assertion === "") throw new GateError("an assertion is missing");
  const claims = await verifier.verifyGateAssertion(assertion);
  if (claims.sub === undefined && !allowAnonymous) throw new GateError("the request is nobody's");
  return claims;
}

/**
 * The answer to a request that was refused; undefined when the error is none
 * of the assertion's. There is nothing that a client could present instead, so
 * it is 403 and not 401.
 */
export function findGateRefusal(error: unknown): Refusal | undefined {
  if (!(error instanceof GateError) && !(error instanceof TokenError)) return findUnavailable(error);
  return {
    status: 403,
    headers: { "cache-control": "no-store" },
    body: { error: "forbidden", error_description: `not through the gate: ${error.message}` },
  };
}

/**
 * Lets a `node:http` or `node:http2` handler see requests with a good assertion
 * only, and hands it the claims. All others are answered here.
 *
 * What the handler throws is the returned function's, as it would be without.
 */
export function withGateAssertion<
  Request extends GateRequestLike = IncomingMessage,
  Response extends ResponseLike = ServerResponse,
>(
  verifier: GateVerifier,
  handler: (request: Request, response: Response, claims: GateAssertionClaims) => unknown,
  options: GateOptions = {},
): (request: Request, response: Response) => Promise<void> {
  return async (request, response) => {
    let claims: GateAssertionClaims;
    try {
      claims = await checkGate(verifier, request, options);
    } catch (error) {
      sendRefusal(response, findGateRefusal(error) ?? internalError);
      return;
    }
    await handler(request, response, claims);
  };
}
