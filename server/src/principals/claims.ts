import type { Soon } from "../lib/at-once.ts";
import type { AuthVia, Principal, Role } from "./principal.ts";

/** What a token says of its principal's organizations. */
export interface OrganizationClaims {
  /** Ids of the principal's organizations, comma-separated: those they own first, then the oldest memberships. */
  readonly org_ids?: string;
  /** Present where `org_ids` has not all of them. */
  readonly org_ids_truncated?: true;
  /** By id, as names can change hands. Absent where it would be too large. */
  readonly organizations?: {
    readonly [id: string]: { readonly name: string; readonly roles: readonly Role[] };
  };
  /** Id of the one organization that the token is for; absent from one for all. */
  readonly org_id?: string;
  /** Roles in that one. */
  readonly roles?: readonly Role[];
}

/**
 * The claims of an access token: those of RFC 9068 §2.2 first, then the ones
 * that Frontier's clients read.
 */
export interface AccessTokenClaims extends OrganizationClaims {
  readonly iss: string;
  /** Id of the user or service user; of the personal access token, where it was made from one. */
  readonly sub: string;
  readonly aud: string;
  /** The client that asked: a credential's id, or the service user's for key pairs. */
  readonly client_id: string;
  readonly iat: number;
  readonly nbf: number;
  readonly exp: number;
  readonly jti: string;
  /** Always `system`. */
  readonly gen: "system";
  readonly sub_type: "app/user" | "app/serviceuser" | "app/pat";
  readonly auth_via: AuthVia;
  /** Whose personal access token it was made from. */
  readonly user_id?: string;
  /** The credential the token goes back to: deleting it ends the token. */
  readonly credential_id?: string;
  readonly email?: string;
  /** Whether the address was proven, when the token was issued; there with `email` (OpenID Connect Core §5.1). */
  readonly email_verified?: boolean;
  readonly sid?: string;
  /** The same as `sid`, under the name Frontier documents. */
  readonly session_id?: string;
  readonly project_id?: string;
}

/** What an access token of known good signature says of whom it stands for. */
export interface TokenSubject {
  /** `sub`. */
  readonly id: string;
  /** `credential_id`: of the credential or session that the token was made from; empty where it says none. */
  readonly credentialId: string;
  readonly authVia: AuthVia;
  /** `jti`. */
  readonly tokenId: string;
  /** `iat`: to a second, rounded down. */
  readonly issuedAt: Date;
}

/**
 * Prove whom an access token stands for, by its `sub_type`; each throws
 * DomainError where that principal may not act any more, or what the token was
 * made from is gone.
 */
export type TokenSubjects = {
  readonly [T in AccessTokenClaims["sub_type"]]: (subject: TokenSubject) => Soon<Principal>;
};
