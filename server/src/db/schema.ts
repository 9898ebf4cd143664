import type { Generated } from "kysely";

/**
 * The tables, as Kysely sees them.
 *
 * Columns keep to what both databases store alike: ids and JSON are text,
 * instants are whole milliseconds since the epoch (`_at`), flags are 0 or 1.
 */
export interface Schema {
  organizations: OrganizationRow;
  users: UserRow;
  memberships: MembershipRow;
  projects: ProjectRow;
  project_members: ProjectMemberRow;
  service_users: ServiceUserRow;
  service_user_credentials: ServiceUserCredentialRow;
  service_user_usage: ServiceUserUsageRow;
  signing_keys: SigningKeyRow;
  revoked_tokens: RevokedTokenRow;
  used_assertions: UsedAssertionRow;
  key_checks: KeyCheckRow;
  changes: ChangeRow;
  audit_records: AuditRecordRow;
  rate_counts: RateCountRow;
}

export interface OrganizationRow {
  id: string;
  name: string;
  title: string;
  metadata: string;
  avatar: string;
  state: "enabled" | "disabled";
  created_at: number;
  updated_at: number;
}

export interface UserRow {
  id: string;
  name: string;
  title: string;
  /** Lower case. */
  email: string;
  metadata: string;
  avatar: string;
  state: "enabled" | "disabled";
  created_at: number;
  updated_at: number;
}

export interface MembershipRow {
  org_id: string;
  user_id: string;
  role: "viewer" | "manager" | "owner";
  created_at: number;
}

export interface ProjectRow {
  id: string;
  org_id: string;
  name: string;
  title: string;
  metadata: string;
  created_at: number;
  updated_at: number;
}

export interface ProjectMemberRow {
  project_id: string;
  principal_type: "user" | "serviceuser";
  /** Of `users` or `service_users`, as the type says. */
  principal_id: string;
  created_at: number;
}

export interface ServiceUserRow {
  id: string;
  org_id: string;
  title: string;
  metadata: string;
  role: "viewer" | "manager" | "owner";
  state: "enabled" | "disabled";
  superuser: 0 | 1;
  created_at: number;
  updated_at: number;
  last_used_at: number | null;
}

export interface ServiceUserCredentialRow {
  id: string;
  service_user_id: string;
  kind: "secret" | "key" | "token";
  title: string;
  /** SHA-256 of a secret or token, base64url; null for a key. */
  secret_hash: string | null;
  /** JSON of the public JWK of a key, `alg` and `kid` included; null for the others. */
  public_jwk: string | null;
  /** 1 for the one credential that comes from the bootstrap settings. */
  bootstrap: 0 | 1;
  created_at: number;
  expires_at: number | null;
  last_used_at: number | null;
}

/** Outlives its credential and its service user: what was used stays known until it is swept. */
export interface ServiceUserUsageRow {
  service_user_id: string;
  credential_id: string;
  /** UTC, `YYYY-MM-DD`. */
  day: string;
  calls: number;
}

export interface SigningKeyRow {
  kid: string;
  algorithm: "ES256" | "RS256" | "EdDSA";
  /** JSON of the public JWK. */
  public_jwk: string;
  /** PKCS#8 DER of the private half, sealed. */
  sealed_private_key: string;
  created_at: number;
  /** From this instant on the key may sign. */
  signs_from_at: number;
  /** Set when a successor took over: kept for verifying until then. */
  retires_at: number | null;
}

export interface RevokedTokenRow {
  jti: string;
  /** When the token expires by itself, and the row has done its work. */
  expires_at: number;
}

export interface UsedAssertionRow {
  /** SHA-256 of the service user's id and the `jti`, base64url. */
  id: string;
  /** When the assertion is refused as expired anyway. */
  expires_at: number;
}

export interface KeyCheckRow {
  /** `encryption`, `session-hash` or `session-block`. */
  purpose: string;
  key_id: string;
  check_value: string;
  created_at: number;
}

export interface ChangeRow {
  seq: Generated<number>;
  topic: string;
  subject: string;
  created_at: number;
}

export interface AuditRecordRow {
  /** With `xact`, the place in the order of commits. */
  seq: Generated<number>;
  xact: Generated<number>;
  id: string;
  at: number;
  request_id: string | null;
  actor_type: string | null;
  actor_id: string | null;
  credential_kind: string | null;
  credential_id: string | null;
  token_id: string | null;
  action: string;
  target_type: string | null;
  target_id: string | null;
  /** No reference: the trail outlives what it is about. */
  org_id: string | null;
  result: "success" | "refused";
  reason: string | null;
  detail: string | null;
  client_address: string | null;
  user_agent: string | null;
  /** JSON object of short texts. */
  details: string | null;
}

/** Events of a key in one bucket of time. */
export interface RateCountRow {
  key: string;
  /** Start of the bucket. */
  bucket_at: number;
  count: number;
  updated_at: number;
}
