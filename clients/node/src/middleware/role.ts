import type { AccessTokenClaims } from "../verify/claims.ts";
import type { RoleCheck } from "../verify/role-check.ts";
import { hasRole, type Role } from "../verify/roles.ts";
import { BearerError, type BearerOptions, readToken } from "./bearer.ts";

/** Where a role has to be held, and how that is known. */
export interface RoleOptions<Request> extends Pick<BearerOptions, "realm"> {
  /** Id of the organization, or where a request names it; a request that names none is refused. */
  readonly organization: string | ((request: Request) => unknown);
  /**
   * Asks Vestibule with each request whether the role is held now, whatever the
   * token says. Default: the token alone, which may be as old as it lives.
   */
  readonly check?: RoleCheck;
}

/** What is read of a request, once its token was found good. */
interface CheckedRequest {
  readonly headers: { readonly authorization?: string | undefined };
  readonly claims?: AccessTokenClaims | null;
}

/**
 * Does nothing where the caller has the role, or a stronger one.
 *
 * @throws an error that `findRefusal` turns into an answer; another where the
 *   request's token was not verified before.
 */
export async function checkRole<Request extends CheckedRequest>(
  request: Request,
  role: Role,
  { organization: named, check }: RoleOptions<Request>,
): Promise<void> {
  const { claims } = request;
  if (!claims) throw new Error("requireRole needs requireAccessToken before it");
  const organization = typeof named === "function" ? named(request) : named;
  const isHeld =
    typeof organization === "string" &&
    (check === undefined
      ? hasRole(claims, role, organization)
      : await check({ token: readToken(request.headers.authorization), role, organization }));
  if (!isHeld) throw new BearerError(403, "insufficient_scope", `the token's principal is no ${role} there`);
}
