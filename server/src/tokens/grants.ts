/**
 * Exchanges a credential for an access token.
 *
 * A `grant_type` selects exactly its own credential, and every other one on
 * the request is left unread; without one the headers decide.
 */
import { DomainError } from "../lib/errors.ts";
import { type PresentedCredential, readPresentedCredentials } from "../principals/presented.ts";
import type { Principal } from "../principals/principal.ts";
import type { AccessTokenSubject, AccessTokens, IssuedToken } from "./access-token.ts";

/** A request for a token, whichever route it came by. Absent members are empty. */
export interface GrantRequest {
  readonly grantType: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly header: Headers;
}

/** A token and whose it is. */
export interface Grant {
  readonly principal: Principal;
  readonly token: IssuedToken;
}

export interface GrantOptions {
  readonly accessTokens: AccessTokens;
  /** Judges a client secret. */
  readonly authenticateSecret: (id: string, secret: string) => Promise<Principal>;
  /** Which optional claims tokens carry. */
  readonly claims: { readonly addOrgIds: boolean };
}

/** Exchanges credentials for tokens. */
export interface Grants {
  /** @throws DomainError UNSUPPORTED_GRANT_TYPE, NOT_AUTHENTICATED, PRINCIPAL_DISABLED, ORGANIZATION_DISABLED */
  exchange(request: GrantRequest): Promise<Grant>;
}

function findBasic(header: Headers): PresentedCredential | undefined {
  const presented = readPresentedCredentials(header);
  return presented.find((credential) => credential.kind === "basic" || credential.kind === "malformed");
}

/** What a token says of a principal. */
export function toTokenSubject(
  principal: Principal,
  claims: { readonly addOrgIds: boolean },
): AccessTokenSubject {
  if (principal.type === "user") throw new DomainError("NOT_IMPLEMENTED");
  return {
    sub: principal.id,
    client_id: principal.credentialId,
    sub_type: "app/serviceuser",
    auth_via: principal.authVia,
    credential_id: principal.credentialId,
    ...(claims.addOrgIds ? { org_ids: principal.orgId } : {}),
  };
}

/** @see {@link Grants} */
export function createGrants(options: GrantOptions): Grants {
  const { accessTokens, authenticateSecret, claims } = options;

  async function authenticateBasic(header: Headers): Promise<Principal> {
    const basic = findBasic(header);
    if (basic?.kind !== "basic") {
      const detail = basic?.kind === "malformed" ? basic.detail : "no credential for the grant";
      throw new DomainError("NOT_AUTHENTICATED", { detail });
    }
    return await authenticateSecret(basic.id, basic.secret);
  }

  async function authenticate(request: GrantRequest): Promise<Principal> {
    switch (request.grantType) {
      case "client_credentials":
        if (request.clientId === "" && request.clientSecret === "")
          return await authenticateBasic(request.header);
        return await authenticateSecret(request.clientId, request.clientSecret);
      case "":
        return await authenticateBasic(request.header);
      default:
        throw new DomainError("UNSUPPORTED_GRANT_TYPE");
    }
  }

  return {
    async exchange(request) {
      const principal = await authenticate(request);
      const notAfterAt = principal.type === "serviceuser" ? principal.credentialExpiresAt : undefined;
      return { principal, token: await accessTokens.issue(toTokenSubject(principal, claims), notAfterAt) };
    },
  };
}
