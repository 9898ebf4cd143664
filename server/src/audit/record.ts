import type { AuditSubject } from "./audit.ts";

/** Something that happened, as it is kept. */
export interface AuditRecord {
  /** UUIDv7. */
  readonly id: string;
  readonly at: Date;
  readonly requestId?: string;
  /** Who did it, or whose credential was refused; absent when unknown. */
  readonly actor?: AuditSubject;
  /** What the actor proved itself with: `client_secret`, `access_token`, … */
  readonly credentialKind?: string;
  /** Id of the credential or session, never its secret. */
  readonly credentialId?: string;
  /** `jti` of the access token on the request. */
  readonly tokenId?: string;
  readonly action: string;
  readonly target?: AuditSubject;
  readonly orgId?: string;
  readonly result: "success" | "refused";
  readonly reason?: string;
  readonly detail?: string;
  readonly clientAddress?: string;
  readonly userAgent?: string;
  readonly details: Readonly<Record<string, string>>;
}
