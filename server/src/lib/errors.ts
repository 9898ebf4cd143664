/**
 * The one error type of the house.
 *
 * A rule that refuses throws a `DomainError` with a reason from the table
 * below. Its message reaches the caller, its cause only the log. What carries
 * a reason to the wire (Connect code, OAuth JSON, REST JSON) is
 * `edge/errors/errors.ts`; every error that is not a `DomainError` leaves as
 * `internal` with a fixed text.
 */

import type { Findings } from "./findings.ts";

/** Classes of refusal, named as the gRPC status codes they become. */
export type ErrorKind =
  | "invalid_argument"
  | "unauthenticated"
  | "permission_denied"
  | "not_found"
  | "already_exists"
  | "failed_precondition"
  | "resource_exhausted"
  | "aborted"
  | "unavailable"
  | "unimplemented"
  | "internal";

/**
 * Every documented reason, with its kind and its text. The texts that Frontier
 * also has are Frontier's. Reasons are stable: clients may switch on them
 * (`google.rpc.ErrorInfo.reason`, domain `vestibule`).
 */
export const reasons = {
  INVALID_REQUEST: ["invalid_argument", "invalid request"],
  UNSUPPORTED_GRANT_TYPE: ["invalid_argument", "unsupported grant type"],
  INVALID_GRANT: ["unauthenticated", "not authenticated"],
  INVALID_EMAIL: ["invalid_argument", "Invalid email"],
  EMAIL_CHANGE_ELSEWHERE: [
    "invalid_argument",
    "invalid syntax in body: another address is not set here, it is changed by proving it",
  ],
  INVALID_OTP: ["invalid_argument", "invalid mail otp"],
  CODE_MISSING: ["invalid_argument", "OIDC code is missing"],
  INVALID_AUTH_STATE: ["invalid_argument", "invalid auth state"],
  INVALID_FLOW: ["invalid_argument", "invalid flow or expired"],
  UNSUPPORTED_STRATEGY: ["invalid_argument", "unsupported authentication method"],
  INVITATION_EXPIRED: ["invalid_argument", "invitation expired"],
  REDIRECT_NOT_ALLOWED: ["invalid_argument", "redirect URL is not allowed"],
  AMBIGUOUS_PROJECT: [
    "invalid_argument",
    "several of your organizations have a project of that name: select it as <org>/<project>",
  ],
  LINK_REQUIRED: ["failed_precondition", "confirm the address with the code mailed to it"],
  REAUTH_REQUIRED: ["failed_precondition", "sign in again first"],
  ADDRESS_UNPROVEN: [
    "failed_precondition",
    "prove your address first: sign in by a code mailed to it, in this session",
  ],
  EMAIL_CHANGE_PAUSED: [
    "failed_precondition",
    "the address was taken back lately: it cannot be changed before the time in metadata.until",
  ],
  EMAIL_UNDO_OPEN: [
    "failed_precondition",
    "the last change of the address can still be undone: not before the time in metadata.until",
  ],
  EMAIL_REQUIRED: ["failed_precondition", "the identity provider told no usable address"],
  PROVIDER_REFUSED: [
    "failed_precondition",
    "the identity provider refused this server: tell its operator the request id",
  ],
  PROVIDER_PROVES_NOTHING: [
    "failed_precondition",
    "nothing is proven by what the identity provider answered: tell the operator the request id",
  ],
  SIGNUP_CLOSED: ["permission_denied", "sign-up is not open to this address"],
  ADDRESS_HELD: ["permission_denied", "the address was an account's lately, and is held for it"],
  NOT_AUTHENTICATED: ["unauthenticated", "not authenticated"],
  NOT_AUTHORIZED: ["permission_denied", "not authorized"],
  PRINCIPAL_DISABLED: ["permission_denied", "not authorized"],
  CROSS_ORIGIN: ["permission_denied", "not authorized"],
  PAT_NOT_ACCEPTED: ["permission_denied", "personal access tokens are not accepted here: sign in"],
  CONSENT_NEEDED: ["permission_denied", "nobody is made a member without their consent: invite them instead"],
  NOT_FOUND: ["not_found", "not found"],
  USER_NOT_FOUND: ["not_found", "user doesn't exist"],
  SESSION_NOT_FOUND: ["not_found", "session doesn't exist"],
  PAT_NOT_FOUND: ["not_found", "personal access token not found"],
  PASSKEY_NOT_FOUND: ["not_found", "passkey doesn't exist"],
  IDENTITY_NOT_FOUND: ["not_found", "identity doesn't exist"],
  SERVICE_USER_NOT_FOUND: ["not_found", "service user not found"],
  CREDENTIAL_NOT_FOUND: ["not_found", "service user credentials not found"],
  INVITATION_NOT_FOUND: ["not_found", "invitation not found"],
  MEMBER_NOT_FOUND: ["not_found", "member doesn't exist"],
  PROJECT_NOT_FOUND: ["not_found", "project doesn't exist"],
  ROLE_NOT_FOUND: ["not_found", "role id is invalid"],
  POLICY_NOT_FOUND: ["not_found", "policy doesn't exist"],
  FRONTDOOR_NOT_FOUND: ["not_found", "frontdoor not found"],
  CUSTOM_FRONTEND_NOT_FOUND: ["not_found", "custom frontend not found"],
  AUTH_PROVIDER_NOT_FOUND: ["not_found", "auth provider not found"],
  AUTH_PROVIDER_TYPE_NOT_FOUND: ["not_found", "there is no such type of auth provider"],
  REVISION_NOT_FOUND: ["not_found", "the auth provider has no such revision"],
  API_KEY_NOT_FOUND: ["not_found", "API key not found"],
  PROXY_TOKEN_NOT_FOUND: ["not_found", "proxy token not found"],
  USER_EXISTS: ["already_exists", "already exist"],
  GATE_SESSION_NOT_FOUND: ["not_found", "session at a frontend not found"],
  NAME_TAKEN: ["already_exists", "name is taken"],
  PAT_TITLE_TAKEN: ["already_exists", "personal access token with this name already exists"],
  HOSTNAME_TAKEN: ["already_exists", "host name is taken"],
  PASSKEY_TAKEN: ["already_exists", "this passkey is registered already"],
  ALREADY_MEMBER: ["already_exists", "already a member"],
  NOT_A_MEMBER: ["failed_precondition", "principal is not a member of the resource"],
  LAST_OWNER: [
    "failed_precondition",
    "an organization must keep an owner that is enabled, make another one first",
  ],
  PAT_EXPIRED: ["failed_precondition", "personal access token has expired"],
  LAST_WAY_IN: ["failed_precondition", "nothing else would open the account"],
  DEFAULT_ORGANIZATION: [
    "failed_precondition",
    "the default organization can be neither renamed, disabled nor deleted",
  ],
  IDEMPOTENCY_KEY_REUSED: ["failed_precondition", "this Idempotency-Key was used with another request"],
  NOT_AN_API_KEY_PROVIDER: ["failed_precondition", "only auth providers of type API_KEY have keys"],
  RECORD_LOST: [
    "failed_precondition",
    "the trail no longer holds the record that was read last: the database was restored",
  ],
  ORGANIZATION_DISABLED: ["failed_precondition", "org is disabled"],
  TOO_MANY_ORGANIZATIONS: [
    "resource_exhausted",
    "a person cannot own more organizations: delete one, or have a superuser add another",
  ],
  TOO_MANY_INVITATIONS: ["resource_exhausted", "too many invitations, try again later"],
  TOO_MANY_PATS: ["resource_exhausted", "maximum number of personal access tokens reached"],
  TOO_MANY_PASSKEYS: ["resource_exhausted", "too many passkeys, remove one first"],
  TOO_MANY_CREDENTIALS: ["resource_exhausted", "too many live credentials, delete unused ones first"],
  TOO_MANY_FAILURES: ["resource_exhausted", "too many failed attempts, try again later"],
  TOO_MANY_FLOWS: ["resource_exhausted", "too many sign-ins were begun, try again later"],
  TOO_MANY_EXPORTS: [
    "resource_exhausted",
    "an account is exported three times a day at most, try again later",
  ],
  TOO_MANY_STREAMS: ["resource_exhausted", "too many streams are open, try again later"],
  STREAM_DISPLACED: [
    "resource_exhausted",
    "the stream has made room for others: resume it by its last resume_token",
  ],
  TOO_MANY_EXPLANATIONS: ["resource_exhausted", "too many decisions were to be explained, try again later"],
  TOO_MANY_DRY_RUNS: ["resource_exhausted", "too many dry runs are under way, try again later"],
  REQUEST_TOO_LARGE: ["resource_exhausted", "request is too large"],
  SUPERUSER_PROTECTED: ["failed_precondition", "the bootstrap service user cannot be deleted"],
  PRECONDITION_FAILED: ["aborted", "it has changed since it was read"],
  METHOD_NOT_ALLOWED: ["unimplemented", "method not allowed"],
  NOT_ACCEPTABLE: ["invalid_argument", "none of the accepted media types can be answered"],
  UNSUPPORTED_MEDIA_TYPE: ["invalid_argument", "the body's media type is not supported"],
  UNAVAILABLE: ["unavailable", "temporarily unavailable, try again"],
  OVERLOADED: ["unavailable", "too much to do, try again in a moment"],
  NOT_IMPLEMENTED: ["unimplemented", "unimplemented"],
  INTERNAL: ["internal", "internal server error"],
} as const satisfies Record<string, readonly [ErrorKind, string]>;

/** A key of {@link reasons}. */
export type Reason = keyof typeof reasons;

/** What is wrong with one field of a request. */
export interface FieldViolation {
  /** Path as written in the schema, e.g. `body.title` or `keys[2].kid`. */
  readonly field: string;
  /** What was expected. Never repeats the value. */
  readonly description: string;
}

/** Whom a refused credential belongs to. */
export interface CredentialOwner {
  readonly type: "serviceuser" | "user";
  readonly id: string;
  readonly orgId?: string;
  /** Which of its credentials it was, if one is known. */
  readonly credentialId?: string;
}

/** What is said of a refusal beside its reason: to its caller, to the log, to neither. */
export interface DomainErrorOptions {
  /** Replaces the reason's text; must be safe to show. */
  readonly message?: string;
  /** For the log only. */
  readonly cause?: unknown;
  readonly violations?: readonly FieldViolation[];
  /** How long to wait before trying again, in whole seconds. */
  readonly retryAfterSeconds?: number;
  /** What an operator needs to tell causes apart; goes to log and audit, never to the caller. */
  readonly detail?: string;
  /** What `detail` says as names and values, for the audit alone. */
  readonly findings?: Findings;
  /** What a client needs to go on from here, as documented with the reason. Reaches the caller. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Of a refused credential: for the audit, so that its owners see it; never for the caller. */
  readonly owner?: CredentialOwner;
  /** Id of a refused credential that is not there, or not any more: for the audit as well. */
  readonly unknownCredentialId?: string;
}

/** A refusal by rule: documented reason, safe message. */
export class DomainError extends Error {
  override readonly name = "DomainError";
  readonly reason: Reason;
  readonly kind: ErrorKind;
  readonly violations: readonly FieldViolation[];
  readonly retryAfterSeconds: number | undefined;
  readonly detail: string | undefined;
  readonly findings: Findings | undefined;
  readonly metadata: Readonly<Record<string, string>>;
  readonly owner: CredentialOwner | undefined;
  readonly unknownCredentialId: string | undefined;

  constructor(reason: Reason, options: DomainErrorOptions = {}) {
    const [kind, text] = reasons[reason];
    super(options.message ?? text, options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    this.kind = kind;
    this.violations = options.violations ?? [];
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.detail = options.detail;
    this.findings = options.findings;
    this.metadata = options.metadata ?? {};
    this.owner = options.owner;
    this.unknownCredentialId = options.unknownCredentialId;
  }
}
