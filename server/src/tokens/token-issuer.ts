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
import type { RequestInfo } from "../lib/request.ts";
import { findExpiry } from "../principals/judge.ts";
import type { Principal, ServiceUserPrincipal, UserPrincipal } from "../principals/principal.ts";
import type { AccessTokenSubject, AccessTokens, IssuedToken } from "./access-token.ts";

/** Settings for the optional claims of access tokens. */
export interface TokenClaimRules {
  readonly addOrgIds: boolean;
  readonly addUserEmail: boolean;
  readonly addSessionId: boolean;
}

/** Parts that issuing an access token stands on, and which claims it adds. */
export interface TokenIssuerOptions {
  readonly accessTokens: AccessTokens;
  readonly claims: TokenClaimRules;
  /** Ids of the enabled organizations that a user is a member of; a bounded number of them. */
  readonly findUserOrganizationIds: (userId: string) => Promise<readonly string[]>;
  /** Id of a project that the principal may see; undefined for all others, also those that do not exist. @throws DomainError AMBIGUOUS_PROJECT */
  readonly findVisibleProject: (principal: Principal, selector: string) => Promise<string | undefined>;
  readonly audit: Pick<AuditTrail, "note">;
}

/** Issues access tokens. */
export interface TokenIssuer {
  /**
   * Issues a token, which never outlives the credential it is made from.
   *
   * @param project id, name or `<org>/<project>` out of `X-Project`. One that
   *   the principal may not see leaves no claim and no other trace: a token is
   *   not the place to learn whether it exists.
   * @throws DomainError NOT_AUTHENTICATED, AMBIGUOUS_PROJECT
   */
  issue(request: RequestInfo, principal: Principal, project: string | undefined): Promise<IssuedToken>;
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
  const { accessTokens, claims, findUserOrganizationIds, findVisibleProject, audit } = options;

  function toServiceUserSubject(principal: ServiceUserPrincipal): AccessTokenSubject {
    return {
      sub: principal.id,
      client_id: toClientId(principal),
      sub_type: "app/serviceuser",
      auth_via: principal.authVia,
      credential_id: principal.credentialId,
      ...(claims.addOrgIds && { org_ids: principal.orgId }),
    };
  }

  async function toUserSubject(principal: UserPrincipal): Promise<AccessTokenSubject> {
    return {
      sub: principal.id,
      client_id: principal.sessionId,
      sub_type: "app/user",
      auth_via: principal.authVia,
      credential_id: principal.sessionId,
      ...(claims.addOrgIds && { org_ids: (await findUserOrganizationIds(principal.id)).join(",") }),
      ...(claims.addUserEmail && { email: principal.email, email_verified: principal.emailProven }),
      ...(claims.addSessionId && { sid: principal.sessionId, session_id: principal.sessionId }),
    };
  }

  async function addProject(
    subject: AccessTokenSubject,
    principal: Principal,
    project: string,
  ): Promise<AccessTokenSubject> {
    if (project.length > longestProject) return subject;
    const projectId = await findVisibleProject(principal, project);
    return projectId === undefined ? subject : { ...subject, project_id: projectId };
  }

  return {
    async issue(request, principal, project) {
      if (principal.credentialKind === "access_token") {
        throw new DomainError("NOT_AUTHENTICATED", { detail: "an access token gives no other" });
      }
      const own =
        principal.type === "user" ? await toUserSubject(principal) : toServiceUserSubject(principal);
      const subject = project ? await addProject(own, principal, project) : own;
      const issued = await accessTokens.issue(subject, findExpiry({ principal }));
      audit.note(
        { principal, request },
        {
          action: "token.issue",
          target: issued.jti,
          ...(principal.type === "serviceuser" && { orgId: principal.orgId }),
          details: { auth_via: principal.authVia, credential_id: subject.credential_id ?? "" },
        },
      );
      return issued;
    },
  };
}
