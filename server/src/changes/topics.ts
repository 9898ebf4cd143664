/**
 * Kinds of changes that empty caches. Each topic says what its subject is; a new
 * kind of cached thing adds a line here.
 */
export type ChangeTopic =
  /** Subject: id of the service user. Disabled, enabled, deleted, or its role changed. */
  | "service-user"
  /** Subject: id of the credential: deleted, rotated, or its expiry changed; or of the API key: made or deleted. */
  | "credential"
  /** Subject: id of the organisation. Disabled, enabled, renamed, deleted. */
  | "organization"
  /** Subject: always `all`. The set of signing keys changed. */
  | "signing-keys"
  /** Subject: `jti` of a revoked access token. */
  | "token"
  /** Subject: id of the user. They or one of their memberships changed. */
  | "user"
  /** Subject: id of the session. */
  | "session"
  /** Subject: id of the session at a custom frontend. */
  | "gate-session"
  /** Subject: id of the frontdoor. It, one of its providers or custom frontends changed, or is gone. */
  | "frontdoor"
  /** Subject: where it is now. The database was moved there, and nothing more changes here. */
  | "database";

/** A change: its topic, and the id of its subject. */
export interface Change {
  readonly topic: ChangeTopic;
  /** Which one, as the topic says. */
  readonly subject: string;
}
