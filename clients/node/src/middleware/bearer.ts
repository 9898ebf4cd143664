/**
 * A bearer token on an HTTP request, and the answers when it does not do
 * (RFC 6750): the one place that the middleware of every framework stands on.
 */

import { type AccessTokenClaims, isInOrganization, type PrincipalType } from "../verify/claims.ts";
import { hasRole, type Role } from "../verify/roles.ts";
import { KeySetUnavailableError, RoleCheckUnavailableError, TokenError } from "../verify/token-error.ts";
import type { Verifier } from "../verify/verifier.ts";

export type { PrincipalType } from "../verify/claims.ts";

/** What a token has to say besides being good. */
export interface BearerOptions {
  /** Id of an organization the principal must belong to. */
  readonly requiredOrg?: string;
  /** The least role that they must have in `requiredOrg`, as the token says. */
  readonly requiredRole?: Role;
  /** Whether it must be a person or a machine. */
  readonly requiredSubType?: PrincipalType;
  /** Name of the protected space in challenges. Default: none. */
  readonly realm?: string;
}

/** A request whose token was good. */
export interface AuthorizedRequest {
  readonly claims: AccessTokenClaims;
}

/** How a request without a good token is answered. */
export interface Refusal {
  readonly status: 400 | 401 | 403 | 503;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: { readonly error: string; readonly error_description: string };
}

/** The request's own fault: no token, no readable one, or one that does not reach. */
export class BearerError extends Error {
  override readonly name = "BearerError";
  readonly status: 400 | 401 | 403;
  readonly error: string;

  constructor(status: BearerError["status"], error: string, message: string) {
    super(message);
    this.status = status;
    this.error = error;
  }
}

/** RFC 6750 §3.1 gives no error code to a request that did not try to authenticate. */
const noCredential = "unauthorized";

/**
 * Answers the claims of the token in an `Authorization` header.
 *
 * @throws an error that {@link findRefusal} turns into an answer.
 */
export async function authorize(
  verifier: Verifier,
  authorization: string | null | undefined,
  options: BearerOptions,
): Promise<AccessTokenClaims> {
  const claims = await verifier.verifyAccessToken(readToken(authorization));
  const { requiredOrg, requiredRole, requiredSubType } = options;
  if (requiredOrg !== undefined && !isInOrganization(claims, requiredOrg)) {
    throw new BearerError(403, "insufficient_scope", "the token's principal is not in the organization");
  }
  if (requiredRole !== undefined && !hasRole(claims, requiredRole, requiredOrg ?? "")) {
    throw new BearerError(403, "insufficient_scope", `the token's principal is no ${requiredRole} there`);
  }
  if (requiredSubType !== undefined && claims.sub_type !== requiredSubType) {
    throw new BearerError(
      403,
      "insufficient_scope",
      `the token's principal is not of type ${requiredSubType}`,
    );
  }
  return claims;
}

/** The token of an `Authorization` header (RFC 6750 §2.1); the scheme's case does not matter. */
export function readToken(header: string | null | undefined): string {
  const authorization = (header ?? "").trim();
  if (!/^bearer(\s|$)/i.test(authorization)) {
    throw new BearerError(401, noCredential, "a bearer token is missing");
  }
  const [, token] = /^bearer +([\w.~+/-]+=*)$/i.exec(authorization) ?? [];
  if (token === undefined) throw new BearerError(400, "invalid_request", "the bearer token is malformed");
  return token;
}

/** The answer to a request that was refused; undefined when the error is none of the token's. */
export function findRefusal(error: unknown, { realm }: BearerOptions): Refusal | undefined {
  if (error instanceof BearerError) return toRefusal(error.status, error.error, error.message, realm);
  if (error instanceof TokenError) return toRefusal(401, "invalid_token", error.message, realm);
  return findUnavailable(error);
}

/** The answer when nothing can be said of a token or role now; undefined for any other error. */
export function findUnavailable(error: unknown): Refusal | undefined {
  const isUnavailable = error instanceof KeySetUnavailableError || error instanceof RoleCheckUnavailableError;
  if (!isUnavailable) return undefined;
  return {
    status: 503,
    headers: { "retry-after": String(error.retryAfterSeconds) },
    body: { error: "temporarily_unavailable", error_description: error.message },
  };
}

function toRefusal(
  status: BearerError["status"],
  error: string,
  description: string,
  realm: string | undefined,
): Refusal {
  const attributes = {
    realm,
    ...(error !== noCredential && { error, error_description: description }),
  };
  const challenge = Object.entries(attributes).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}="${toQuotable(value)}"`],
  );
  return {
    status,
    headers: {
      "www-authenticate": ["Bearer", challenge.join(", ")].join(" ").trim(),
      "cache-control": "no-store",
    },
    body: { error, error_description: description },
  };
}

/** RFC 6750 §3: printable ASCII without quotes and backslashes. */
function toQuotable(value: string): string {
  return value.replace(/[^\x20-\x7e]|["\\]/g, "");
}
