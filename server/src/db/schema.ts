import type { Generated } from "kysely";

/** Names of the migrations that were applied, by a name of our own: other programs on the same database keep some too. */
export const migrationTable = "vestibule_migrations";

/**
 * The tables, as Kysely sees them.
 *
 * Columns keep to what both databases store alike: ids and JSON are text,
 * instants are whole milliseconds since the epoch (`_at`), flags are 0 or 1.
 */
export interface Schema {
  organizations: OrganizationRow;
  users: UserRow;
  user_preferences: UserPreferenceRow;
  search_prefixes: SearchPrefixRow;
  search_backlog: SearchBacklogRow;
  avatars: AvatarRow;
  organization_names: OrganizationNameRow;
  memberships: MembershipRow;
  personal_tokens: PersonalTokenRow;
  projects: ProjectRow;
  project_names: ProjectNameRow;
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
  audit_keys: AuditKeyRow;
  rate_counts: RateCountRow;
  auth_flows: AuthFlowRow;
  sessions: SessionRow;
  known_browsers: KnownBrowserRow;
  identities: IdentityRow;
  email_undos: EmailUndoRow;
  passkeys: PasskeyRow;
  invitations: InvitationRow;
  organization_invitations: OrganizationInvitationRow;
  invitation_mails: InvitationMailRow;
  rolling_counts: RollingCountRow;
  known_clients: KnownClientRow;
  sent_codes: SentCodeRow;
  frontdoors: FrontdoorRow;
  auth_providers: AuthProviderRow;
  auth_provider_revisions: AuthProviderRevisionRow;
  auth_provider_counts: AuthProviderCountRow;
  auth_provider_changes: AuthProviderChangeRow;
  auth_provider_api_keys: AuthProviderApiKeyRow;
  api_key_uses: ApiKeyUsesRow;
  proxy_tokens: ProxyTokenRow;
  custom_frontends: CustomFrontendRow;
  custom_frontend_providers: CustomFrontendProviderRow;
  idempotency_keys: IdempotencyKeyRow;
  gate_sessions: GateSessionRow;
  gate_confirmations: GateConfirmationRow;
  last_backup: LastBackupRow;
  moves: MoveRow;
}

/** A browser that has signed in to an account. */
export interface KnownBrowserRow {
  user_id: string;
  /** SHA-256 of the user's id and the key in its cookie, base64url. */
  key_hash: string;
  seen_at: number;
}

/** Where the database stands in being copied to another place: one row at most. */
export interface MoveRow {
  id: number;
  /** The same in both databases. */
  copy_id: string;
  state: "leaving" | "moved" | "arriving";
  /** Address of the other database, without secrets. */
  place: string;
  at: number;
}

/** When the last backup was made: one row at most. */
export interface LastBackupRow {
  id: number;
  /** Its moment. */
  at: number;
  ended_at: number;
}

/** A client that proved itself from a block of addresses. */
export interface KnownClientRow {
  block: string;
  client_id: string;
  seen_at: number;
}

/** An organization: whoever is a tenant here. */
export interface OrganizationRow {
  id: string;
  name: string;
  title: string;
  metadata: string;
  avatar: string;
  state: "enabled" | "disabled";
  /** Id of the person who made it; empty where a superuser did, or nobody knows. */
  created_by: Generated<string>;
  created_at: number;
  updated_at: number;
}

/** A name that an organization has or had, for good. */
export interface OrganizationNameRow {
  name: string;
  /** No reference: the organization may be gone. */
  org_id: string;
  at: number;
}

/** A name that a project of an organization has or had, for as long as there is the organization. */
export interface ProjectNameRow {
  org_id: string;
  name: string;
  /** No reference: the project may be gone. */
  project_id: string;
  at: number;
}

/** A picture of people or organizations, whose rows hold its path. */
export interface AvatarRow {
  /** SHA-256 of its bytes, base64url. */
  hash: string;
  media_type: "image/png" | "image/jpeg" | "image/gif";
  /** Base64. */
  content: string;
  /** When somebody last began to have it. */
  kept_at: number;
}

/** A person, known by a mail address. */
export interface UserRow {
  id: string;
  name: string;
  title: string;
  /** Lower case. */
  email: string;
  /** 1 once our own mail or an authoritative provider has proven the address. */
  email_proven: 0 | 1;
  /** WebAuthn's user handle: 32 bytes that nobody guesses, base64url. */
  passkey_handle: string;
  metadata: string;
  avatar: string;
  state: "enabled" | "disabled";
  /** 1 while the address is one that a superuser gave and nobody has proven. */
  email_given: Generated<0 | 1>;
  /** Until when the user cannot change the address, which was taken back; 0 when nobody has. */
  email_fixed_until: Generated<number>;
  /** What was said when the user was disabled; empty while they are enabled. */
  disabled_reason: Generated<string>;
  created_at: number;
  updated_at: number;
}

/** What a person has chosen for themselves. */
export interface UserPreferenceRow {
  id: string;
  user_id: string;
  name: string;
  value: string;
  created_at: number;
  updated_at: number;
}

/** A beginning of a row's texts, by which it is found. */
export interface SearchPrefixRow {
  /** `user`, `organization`, or either behind `disabled `. */
  kind: string;
  prefix: string;
  /** No reference: stores keep it with the row. */
  id: string;
}

/** A user who was imported and may lack some of what they are found by: nothing of it is wrong. */
export interface SearchBacklogRow {
  /** When they were stored. */
  at: number;
  /** No reference: whoever is gone is left out when it is worked off. */
  id: string;
}

/** The public half of a passkey (WebAuthn §4). */
export interface PasskeyRow {
  id: string;
  user_id: string;
  /** As the authenticator names it, base64url. */
  credential_id: string;
  /** COSE key (RFC 9052 §7), base64url. */
  public_key: string;
  /** Signature counter; for passkeys that are synced between devices whatever they told last. */
  counter: number;
  /** JSON list of hints for the browser. */
  transports: string;
  /** 1 if the authenticator may copy it to other devices. */
  synced: 0 | 1;
  /** 1 if it has. */
  backed_up: 0 | 1;
  name: string;
  created_at: number;
  last_used_at: number | null;
}

/** A person's role in an organization, one at most. */
export interface MembershipRow {
  org_id: string;
  user_id: string;
  role: "viewer" | "manager" | "owner";
  created_at: number;
}

/** A person's personal access token for one organization; it goes with the membership. */
export interface PersonalTokenRow {
  id: string;
  user_id: string;
  org_id: string;
  title: string;
  /** Of titles that count as the same, the same. */
  title_key: string;
  /** SHA-256 of the secret, base64url. */
  secret_hash: string;
  /** In the organization. */
  role: "viewer" | "manager" | "owner" | null;
  /** In projects. */
  project_role: "viewer" | "manager" | "owner" | null;
  /** JSON: ids; empty for all. */
  project_ids: string;
  /** JSON. */
  metadata: string;
  created_at: number;
  updated_at: number;
  regenerated_at: number | null;
  last_used_at: number | null;
  /** When its owner is to be told that it is not used; null once they were. */
  unused_mail_due_at: number | null;
  expires_at: number;
}

/** A project of an organization. */
export interface ProjectRow {
  id: string;
  org_id: string;
  name: string;
  title: string;
  metadata: string;
  created_at: number;
  updated_at: number;
}

/** A person or a machine that sees a project. */
export interface ProjectMemberRow {
  project_id: string;
  principal_type: "user" | "serviceuser";
  /** Of `users` or `service_users`, as the type says. */
  principal_id: string;
  created_at: number;
}

/** A machine of an organization. */
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

/** A credential of a machine; nothing in it opens a door by itself. */
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

/** A key that signs access tokens, or has. */
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

/** An access token that was revoked before its time. */
export interface RevokedTokenRow {
  jti: string;
  /** When the token expires by itself, and the row has done its work. */
  expires_at: number;
}

/** An assertion that was taken, and is not taken again (RFC 7523 §3). */
export interface UsedAssertionRow {
  /** SHA-256 of the service user's id and the `jti`, base64url. */
  id: string;
  /** When the assertion is refused as expired anyway. */
  expires_at: number;
}

/** A value by which a process finds that its key is the database's own. */
export interface KeyCheckRow {
  /** `encryption`, `session-hash` or `session-block`. */
  purpose: string;
  key_id: string;
  check_value: string;
  created_at: number;
}

/** A change that other processes may hold in their caches. */
export interface ChangeRow {
  seq: Generated<number>;
  topic: string;
  subject: string;
  created_at: number;
}

/** A record of the audit trail; never updated. */
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
  /** Keyed hash of the mailbox it is about, base64url. */
  mailbox_hash: string | null;
}

/** A key of the audit trail, sealed. */
export interface AuditKeyRow {
  id: string;
  sealed_key: string;
}

/** Events of a key in one bucket of time. */
export interface RateCountRow {
  key: string;
  /** Start of the bucket. */
  bucket_at: number;
  count: number;
  updated_at: number;
}

/** A sign-in on its way. Finished ones are gone. */
export interface AuthFlowRow {
  id: string;
  /** SHA-256 of the state, base64url. */
  state_hash: string;
  strategy: string;
  /** SHA-256 of the browser's cookie, base64url. */
  browser_hash: string;
  /** JSON of what the strategy wants kept, and of the identity that waits to be joined. */
  sealed_secret: string;
  email: string | null;
  callback_url: string;
  return_to: string | null;
  /** The session it was begun in. */
  session_id: string | null;
  /** Answers so far, those that are being judged included. */
  attempts: number;
  created_at: number;
  expires_at: number;
}

/** A session of a person in a browser. */
export interface SessionRow {
  id: string;
  /** SHA-256 of the secret in the cookie, base64url. */
  secret_hash: string;
  /** SHA-256 of the secret in the cookie's companion, base64url. */
  companion_hash: string;
  user_id: string;
  /** Name of the strategy that it began with. */
  strategy: string;
  operating_system: string;
  browser: string;
  ip_address: string;
  city: string;
  country: string;
  latitude: string;
  longitude: string;
  created_at: number;
  /** When the person last proved themselves in it. */
  authenticated_at: number;
  updated_at: number;
  expires_at: number;
}

/** An account at an identity provider that signs a user in. */
export interface IdentityRow {
  issuer: string;
  subject: string;
  user_id: string;
  /** Name of the strategy that it came by. */
  strategy: string;
  /** As the provider told it when it was joined, or gave it last; may be empty. */
  email: string;
  /** 1 while the account's address is the one that this identity gave, of a domain its provider speaks for. */
  gave_email: Generated<0 | 1>;
  created_at: number;
}

/** A change of an account's address that whoever reads the mailbox before can undo. */
export interface EmailUndoRow {
  /** UUIDv7. */
  id: string;
  user_id: string;
  /** The address before, which is held meanwhile. */
  email: string;
  /** SHA-256 of what the link to it carries, base64url. */
  token_hash: string;
  changed_at: number;
  expires_at: number;
}

/** An address that may sign up while that takes an invitation. */
export interface InvitationRow {
  email: string;
  created_at: number;
  /** When a mail of it is to be sent, or sent again unless it was; null when none is to be. */
  mail_due_at: number | null;
  /** How often its latest mail was begun. */
  mail_attempts: Generated<number>;
}

/** An address that is asked into an organization. */
export interface OrganizationInvitationRow {
  id: string;
  org_id: string;
  /** Lower case. */
  email: string;
  role: "owner" | "manager" | "viewer";
  /** JSON list of ids. */
  project_ids: string;
  /** SHA-256 of what the link of its latest mail carries, base64url; null until there is one. */
  token_hash: string | null;
  /** Whose power it lives by. */
  invited_by_type: "user" | "serviceuser";
  invited_by_id: string;
  /** 1 if a superuser sent it. */
  by_superuser: 0 | 1;
  created_at: number;
  /** When the mail server took its latest mail; null while it has not. */
  sent_at: number | null;
  expires_at: number;
  /** When its mail is to be sent, or sent again unless it was; null when nothing is to be. */
  mail_due_at: number | null;
  /** How often its latest mail was begun. */
  mail_attempts: number;
}

/** A mail that was asked for, for its limits. */
export interface InvitationMailRow {
  id: string;
  /** SHA-256 of the address, base64url. */
  mailbox_hash: string;
  /** Empty for an invitation to sign up. */
  org_id: string;
  sender_id: string;
  at: number;
}

/** A code of an identity provider that has been sent to a token endpoint. */
export interface SentCodeRow {
  /** SHA-256, base64url. */
  code_hash: string;
  expires_at: number;
}

/** The events of a key within the last hour. */
export interface RollingCountRow {
  /** SHA-256 of what is counted and for whom, base64url. */
  key: string;
  /** JSON list of instants, oldest first; never longer than the limit. */
  events: string;
  /** When the last of them has left the window. */
  expires_at: number;
}

/** A frontdoor of an organization. */
export interface FrontdoorRow {
  id: string;
  org_id: string;
  name: string;
  /** Place of the newest change to its providers; locked by whoever makes one. */
  change_seq: number;
  /** That change's mark. */
  change_mark: Generated<string>;
  created_at: number;
  updated_at: number;
  /** When it was deleted: nobody is told of it any more, and a sweep removes what it holds. */
  deleted_at: Generated<number | null>;
}

/** A provider, with what lists and conditions ask for; its data is in its newest revision. */
export interface AuthProviderRow {
  id: string;
  frontdoor_id: string;
  /** In NFC. */
  name: string;
  type: string;
  enabled: 0 | 1;
  /** The newest. */
  revision: number;
  /** Place of its newest change in the frontdoor's. */
  change_seq: number;
  /** Sessions at the gate that a revision before this one proved have ended. */
  sessions_from: number;
  created_at: number;
  updated_at: number;
}

/** A state that a provider was in; never updated. */
export interface AuthProviderRevisionRow {
  provider_id: string;
  revision: number;
  name: string;
  enabled: 0 | 1;
  /** JSON object, without the secrets. */
  data: string;
  /** JSON object of sealed texts by property. */
  sealed_secrets: string;
  change: "create" | "update" | "replace" | "rollback";
  restored_revision: number | null;
  /** JSON list of what changed, secrets masked. */
  changes: string;
  author_type: string;
  /** No reference: revisions outlive their authors. */
  author_id: string;
  created_at: number;
}

/** How many providers of a type a frontdoor has, kept with each change of them. */
export interface AuthProviderCountRow {
  frontdoor_id: string;
  type: string;
  enabled: 0 | 1;
  count: number;
}

/** A change of a provider, for those who watch its frontdoor. */
export interface AuthProviderChangeRow {
  frontdoor_id: string;
  /** Without gaps, in the order of commits. */
  seq: number;
  /** Random: after a restore another change may get the same place. */
  mark: Generated<string>;
  event: "created" | "updated" | "deleted";
  provider_id: string;
  revision: number;
  /** JSON of the provider, secrets masked. */
  payload: string;
  created_at: number;
}

/** A key of an `API_KEY` provider; stored as a hash. */
export interface AuthProviderApiKeyRow {
  id: string;
  provider_id: string;
  title: string;
  /** SHA-256, base64url. */
  key_hash: string;
  created_at: number;
  expires_at: number;
  last_used_at: number | null;
}

/** How often a key came in at a frontend in a window. */
export interface ApiKeyUsesRow {
  /** No reference: rows go when they are over. */
  frontend_id: string;
  key_id: string;
  per_seconds: number;
  /** Start of the window. */
  window_at: number;
  count: number;
  /** When nobody asks about it any more. */
  ends_at: number;
}

/** A token by which a proxy proves whose it is. */
export interface ProxyTokenRow {
  id: string;
  frontdoor_id: string;
  title: string;
  /** SHA-256, base64url. */
  token_hash: string;
  created_at: number;
  last_used_at: number | null;
}

/** A host name that a frontdoor guards, and how. */
export interface CustomFrontendRow {
  id: string;
  frontdoor_id: string;
  /** Lower case; `*.` stands for one label. */
  hostname: string;
  /** JSON object. */
  policy: string;
  /** What becomes of a visitor's `Authorization`. */
  authorization_use: "JUDGE" | "PASS";
  scheme: "https" | "http";
  /** As written; empty for none. */
  assertion_header: string;
  created_at: number;
  updated_at: number;
}

/** A provider that a frontend accepts, in its place. */
export interface CustomFrontendProviderRow {
  frontend_id: string;
  /** From 0; gaps are where a provider was deleted. */
  position: number;
  provider_id: string;
}

/** The answer to a request with an idempotency key, for its repetition. */
export interface IdempotencyKeyRow {
  caller_id: string;
  frontdoor_id: string;
  key: string;
  /** SHA-256 of the request, sealed: it may hold a secret that could be guessed. */
  sealed_request: string;
  /** JSON of the answer. */
  answer: string;
  expires_at: number;
}

/** A session of a person at a custom frontend. */
export interface GateSessionRow {
  id: string;
  /** SHA-256 of what the cookie holds, base64url. */
  secret_hash: string;
  /** No reference, as with the next two: rows go in steps. */
  frontdoor_id: string;
  frontend_id: string;
  /** The visitor's, as the cookie is bound to it. */
  host: string;
  provider_id: string;
  /** The revision of the provider that proved who it is. */
  provider_revision: number;
  /** Within the provider; for `VESTIBULE` the id of the user. */
  subject: string;
  /** The person's session that it ends with; null where another service proved them. */
  parent_id: string | null;
  /** JSON of who the provider said it is; null where that is asked anew each time. */
  identity: string | null;
  /** The provider's own name for its session (OpenID Connect Back-Channel Logout 1.0 §2.4). */
  sid: string | null;
  /** JSON of what it is renewed by, sealed. */
  sealed_kept: string | null;
  /** When the provider is to be asked again. */
  renew_at: number | null;
  /** Who is asking it, and until when nobody else does. */
  renewal_id: string | null;
  renewal_until: number;
  /** JSON of browser and place. */
  device: string;
  created_at: number;
  last_used_at: number;
  /** When it ends, used or not. */
  expires_at: number;
}

/** A person who has said that those who run a frontdoor may know who they are. */
export interface GateConfirmationRow {
  frontdoor_id: string;
  user_id: string;
  created_at: number;
}
