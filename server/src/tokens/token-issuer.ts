/**
 * Issues access tokens: turns a proven principal into one, and notes that it did.
 *
 * This room owns signing keys and their rotation, access tokens and their
 * revocation, `AuthToken` and the OAuth routes. It proves no credential but
 * assertions and its own tokens; sessions and secrets are proven by the rooms
 * that keep them.
 */
import type { AuditTrail } from "../audit/audit.ts";
import { DomainError } from "../lib/errors.ts";
import { invalidRequest } from "../lib/invalid-request.ts";
import type { RequestInfo } from "../lib/request.ts";
import { findExpiry } from "../principals/judge.ts";
import type {
  PatPrincipal,
  Principal,
  ServiceUserPrincipal,
  UserPrincipal,
} from "../principals/principal.ts";
import type { AccessTokenSubject, AccessTokens, IssuedToken } from "./access-token.ts";
import type { DescribeOrganizations } from "./organization-claims.ts";

/** Settings for the optional claims of access tokens, but for those about organizations. */
export interface TokenClaimRules {
  readonly addUserEmail: boolean;
  readonly addSessionId: boolean;
}

/** Parts that issuing an access token stands on, and which claims it adds. */
export interface TokenIssuerOptions {
  readonly accessTokens: AccessTokens;
  readonly claims: TokenClaimRules;
  readonly organizations: DescribeOrganizations;
  /**
   * Id of a project that the principal may see, in one organization or any;
   * undefined for all others, also those that do not exist. @throws DomainError AMBIGUOUS_PROJECT
   */
  readonly findVisibleProject: (
    principal: Principal,
    selector: string,
    orgId?: string,
  ) => Promise<string | undefined>;
  readonly audit: Pick<AuditTrail, "note">;
}

/**
 * What a token is asked for. What the principal may not see leaves no claim and
 * no other trace: a token is not the place to learn whether it exists. Empty is
 * as good as absent.
 */
export interface TokenScope {
  /** Id, name or `<org>/<project>`: `X-Project`. */
  readonly project?: string | undefined;
  /** Id or name of the one organization that the token is for: `X-Organization`. */
  readonly organization?: string | undefined;
}

/** Issues access tokens. */
export interface TokenIssuer {
  /**
   * Issues a token, which never outlives the credential it is made from.
   *
   * @throws DomainError NOT_AUTHENTICATED, AMBIGUOUS_PROJECT
   */
  issue(request: RequestInfo, principal: Principal, scope: TokenScope): Promise<IssuedToken>;
}

/**
 * The organization that a request names, in a field of its own or in
 * `X-Organization`.
 *
 * @throws DomainError INVALID_REQUEST where the two differ: which was meant is not ours to guess
 */
export function readOrganization(
  field: string,
  value: string | undefined,
  header: string | null | undefined,
): string | undefined {
  if (value && header && value !== header) {
    throw invalidRequest(`${field} and X-Organization name different organizations`);
  }
  return value || header || undefined;
}

/** Longest `X-Project` that is looked up, in characters. */
const longestProject = 200;

/** The client of a key pair is its service user; of every other credential, the credential. */
function toClientId(principal: ServiceUserPrincipal): string {
  const isKeyPair = principal.authVia === "private_key_jwt" || principal.authVia === "jwt_bearer";
  return isKeyPair ? principal.id : principal.credentialId;
}

/** @see {@link TokenIssuer} */
export function createTokenIssuer(options: TokenIssuerOptions): TokenIssuer {
  const { accessTokens, claims, organizations, findVisibleProject, audit } = options;

  function toServiceUserSubject(principal: ServiceUserPrincipal): AccessTokenSubject {
    return {
      sub: principal.id,
      client_id: toClientId(principal),
      sub_type: "app/serviceuser",
      auth_via: principal.authVia,
      credential_id: principal.credentialId,
    };
  }

  /** The token itself, as Frontier has it, and beside it whose it is. */
  function toPatSubject(principal: PatPrincipal): AccessTokenSubject {
    return {
      sub: principal.id,
      client_id: principal.id,
      sub_type: "app/pat",
      auth_via: principal.authVia,
      user_id: principal.userId,
      credential_id: principal.id,
    };
  }

  function toSubject(principal: Principal): AccessTokenSubject {
    if (principal.type === "user") return toUserSubject(principal);
    return principal.type === "pat" ? toPatSubject(principal) : toServiceUserSubject(principal);
  }

  function toUserSubject(principal: UserPrincipal): AccessTokenSubject {
    return {
      sub: principal.id,
      client_id: principal.sessionId,
      sub_type: "app/user",
      auth_via: principal.authVia,
      credential_id: principal.sessionId,
      ...(claims.addUserEmail && { email: principal.email, email_verified: principal.emailProven }),
      ...(claims.addSessionId && { sid: principal.sessionId, session_id: principal.sessionId }),
    };
  }

  /** In a token for one organization none but a project of that one. */
  async function findProject(
    principal: Principal,
    { project, organization }: TokenScope,
    orgId: string | undefined,
  ): Promise<string | undefined> {
    const isForNone = Boolean(organization) && orgId === undefined;
    if (!project || project.length > longestProject || isForNone) return undefined;
    return await findVisibleProject(principal, project, organization ? orgId : undefined);
  }

  return {
    async issue(request, principal, scope) {
      if (principal.credentialKind === "access_token") {
        throw new DomainError("NOT_AUTHENTICATED", { detail: "an access token gives no other" });
      }
      const { organization } = scope;
      const one = organization ? await organizations.ofOne(principal, organization) : undefined;
      const fit = one === undefined ? await organizations.ofAll(principal) : () => one;
      const projectId = await findProject(principal, scope, one?.org_id);
      const subject = {
        ...toSubject(principal),
        ...(projectId !== undefined && { project_id: projectId }),
      };
      const issued = await accessTokens.issue(subject, { notAfterAt: findExpiry({ principal }), fit });
      audit.note(
        { principal, request },
        {
          action: "token.issue",
          target: issued.jti,
          ...(principal.type !== "user" && { orgId: principal.orgId }),
          details: { auth_via: principal.authVia, credential_id: subject.credential_id ?? "" },
        },
      );
      return issued;
    },
  };
}
