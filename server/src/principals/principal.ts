import { DomainError } from "../lib/errors.ts";
import type { RequestInfo } from "../lib/request.ts";

/** How the caller proved who it is; the `auth_via` claim of access tokens. */
export type AuthVia = "session" | "client_credentials" | "private_key_jwt" | "jwt_bearer" | "opaque_token";

/** Roles in an organization, weakest first. */
export const roles = ["viewer", "manager", "owner"] as const;

/** A role in an organization. */
export type Role = (typeof roles)[number];

/** What every caller has. */
interface PrincipalBase {
  readonly id: string;
  /** May do everything, everywhere. */
  readonly superuser: boolean;
  readonly authVia: AuthVia;
  /** Kind of the credential on this request, for logs and metrics. */
  readonly credentialKind:
    | "client_secret"
    | "key_pair"
    | "opaque_token"
    | "access_token"
    | "session"
    // Of no request: the link that takes a change of address back.
    | "email_undo";
  /** `jti` of the access token on this request, if one was used. */
  readonly tokenId?: string;
}

/** A machine that proved itself. */
export interface ServiceUserPrincipal extends PrincipalBase {
  readonly type: "serviceuser";
  readonly orgId: string;
  readonly role: Role;
  /** Id of the credential the proof goes back to. */
  readonly credentialId: string;
  /** When that credential expires: no token made from it may live longer. */
  readonly credentialExpiresAt?: Date | undefined;
}

/** A person who proved themselves. */
export interface UserPrincipal extends PrincipalBase {
  readonly type: "user";
  readonly email: string;
  /** Whether the address was proven; of one that never was, the mailbox's owner may take the account over. */
  readonly emailProven: boolean;
  /** The session the proof goes back to. */
  readonly sessionId: string;
  /** When that session ends: no token made from it may live longer. */
  readonly sessionExpiresAt?: Date;
}

/** Whoever is calling: proven, enabled, and in an enabled organization. */
export type Principal = ServiceUserPrincipal | UserPrincipal;

/** A principal and the request it makes: what a rule may ask about, and what the audit records. */
export interface Caller {
  readonly principal: Principal;
  readonly request: RequestInfo;
}

/** `serviceuser:<id>` or `user:<id>`, for logs and audit. */
export function toPrincipalLabel(principal: Principal): string {
  return `${principal.type}:${principal.id}`;
}

/** @throws DomainError NOT_AUTHORIZED */
export function requireSuperuser({ principal }: Caller): void {
  if (!principal.superuser) throw new DomainError("NOT_AUTHORIZED", { detail: "needs a superuser" });
}
