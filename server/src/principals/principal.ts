import { DomainError } from "../lib/errors.ts";
import type { RequestInfo } from "../lib/request.ts";

/** How the caller proved who it is; the `auth_via` claim of access tokens. */
export type AuthVia =
  | "session"
  | "client_credentials"
  | "private_key_jwt"
  | "jwt_bearer"
  | "opaque_token"
  | "pat";

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
    | "personal_token"
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

/**
 * A person's personal access token: the person, narrowed to one organization,
 * where it is at most what they are. Whatever asks for a person gets none of
 * these: it has to name them.
 */
export interface PatPrincipal extends PrincipalBase {
  readonly type: "pat";
  /** Of the token. */
  readonly id: string;
  /** Never, whoever owns it. */
  readonly superuser: false;
  readonly userId: string;
  /** Of the user, and proven: nobody else's token is good. */
  readonly email: string;
  readonly orgId: string;
  /** The weaker of the token's role and its owner's, as of now; undefined for a token that has none there. */
  readonly role: Role | undefined;
  readonly projects: PatProjects;
  /** The same as `id`. */
  readonly credentialId: string;
  readonly credentialExpiresAt: Date;
}

/** Which projects of its organization a personal access token sees. */
export interface PatProjects {
  /** Whether its owner sees all there are, or those that they were let into. */
  readonly ownerSeesAll: boolean;
  /** Of those only these; absent for all. */
  readonly only?: readonly string[];
}

/** Whoever is calling: proven, enabled, and in an enabled organization. */
export type Principal = ServiceUserPrincipal | UserPrincipal | PatPrincipal;

/** Who answers for what a principal does: of a personal access token, its owner. */
export function toActor(principal: Principal): {
  readonly type: "user" | "serviceuser";
  readonly id: string;
} {
  if (principal.type === "pat") return { type: "user", id: principal.userId };
  return { type: principal.type, id: principal.id };
}

/** A principal and the request it makes: what a rule may ask about, and what the audit records. */
export interface Caller {
  readonly principal: Principal;
  readonly request: RequestInfo;
}

/** `serviceuser:<id>`, `user:<id>` or `pat:<id>`, for logs and audit. */
export function toPrincipalLabel(principal: Principal): string {
  return `${principal.type}:${principal.id}`;
}

/** @throws DomainError NOT_AUTHORIZED */
export function requireSuperuser({ principal }: Caller): void {
  if (!principal.superuser) throw new DomainError("NOT_AUTHORIZED", { detail: "needs a superuser" });
}
