/** What an access token of Vestibule says (RFC 9068 §2.2). */
export interface AccessTokenClaims {
  readonly iss: string;
  /** Id of the user or service user. */
  readonly sub: string;
  readonly aud: string | readonly string[];
  /** The client that asked: a credential's id, or the service user's for key pairs. */
  readonly client_id: string;
  /** Seconds since 1970, as `nbf` and `exp`. */
  readonly iat: number;
  readonly nbf?: number;
  readonly exp: number;
  readonly jti: string;
  readonly gen: "system";
  readonly sub_type: PrincipalType;
  /** Of `app/pat`: whose the personal access token is that `sub` names. */
  readonly user_id?: string;
  /** How the principal authenticated, e.g. `client_credentials`. */
  readonly auth_via: string;
  /** Ids of the principal's organizations, comma-separated; {@link isInOrganization} reads it. */
  readonly org_ids?: string;
  /** Whether `org_ids` has not all of them: there is no room for very many. */
  readonly org_ids_truncated?: boolean;
  /** The organizations by id, and the roles in each; {@link hasRole} reads it. Absent where it would be too large. */
  readonly organizations?: Readonly<
    Record<string, { readonly name?: string; readonly roles: readonly string[] }>
  >;
  /** Id of the one organization that the token is for. */
  readonly org_id?: string;
  /** Roles in that one, and in no other. */
  readonly roles?: readonly string[];
  readonly email?: string;
  /** Whether `email` is known to be theirs: grant nothing by an address that is not. */
  readonly email_verified?: boolean;
  readonly sid?: string;
  /** The same as `sid`. */
  readonly session_id?: string;
  readonly project_id?: string;
}

/** A person, a machine, or a person's personal access token. */
export type PrincipalType = "app/user" | "app/serviceuser" | "app/pat";

/** Whether the token's principal belongs to an organization, by id. */
export function isInOrganization({ org_ids }: AccessTokenClaims, orgId: string): boolean {
  return orgId !== "" && (org_ids ?? "").split(",").includes(orgId);
}

const requiredTexts = ["iss", "sub", "client_id", "jti", "sub_type", "auth_via"];
const optionalTexts = ["user_id", "org_ids", "org_id", "email", "sid", "session_id", "project_id"];
const optionalFlags = ["email_verified", "org_ids_truncated"];

/** Whether a payload has every claim that a token must have, in its type. Says nothing of what they are. */
export function isAccessTokenClaims(payload: unknown): payload is AccessTokenClaims {
  if (typeof payload !== "object" || payload === null || Array.isArray(payload)) return false;
  const claims = payload as Record<string, unknown>;
  return (
    requiredTexts.every((name) => typeof claims[name] === "string" && claims[name] !== "") &&
    optionalTexts.every((name) => ["undefined", "string"].includes(typeof claims[name])) &&
    optionalFlags.every((name) => ["undefined", "boolean"].includes(typeof claims[name])) &&
    (claims.roles === undefined || isTexts(claims.roles)) &&
    (claims.organizations === undefined || isOrganizations(claims.organizations)) &&
    [claims.exp, claims.iat].every(isInstant) &&
    (claims.nbf === undefined || isInstant(claims.nbf)) &&
    isAudience(claims.aud) &&
    claims.gen === "system"
  );
}

/** A number that stays one as a Date. */
export function isInstant(value: unknown): boolean {
  return typeof value === "number" && value >= 0 && value <= 8.64e12;
}

function isAudience(value: unknown): boolean {
  return typeof value === "string" || isTexts(value);
}

function isOrganizations(value: unknown): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((one) => isTexts(one?.roles))
  );
}

/** Whether a claim is a list of texts. */
export function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}
