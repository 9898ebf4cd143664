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
  service_user_secrets: ServiceUserSecretRow;
  signing_keys: SigningKeyRow;
  key_checks: KeyCheckRow;
  changes: ChangeRow;
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

export interface ServiceUserSecretRow {
  id: string;
  service_user_id: string;
  title: string;
  /** SHA-256 of the secret, base64url. */
  secret_hash: string;
  /** 1 for the one credential that comes from the bootstrap settings. */
  bootstrap: 0 | 1;
  created_at: number;
  expires_at: number | null;
  last_used_at: number | null;
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
