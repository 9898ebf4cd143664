import type { AuditSubject } from "./audit.ts";

/** An audit record, as it is kept. */
export interface AuditRecord {
  /** UUIDv7. */
  readonly id: string;
  readonly at: Date;
  readonly requestId?: string | undefined;
  /** Who did it, or whose credential was refused; absent when unknown. */
  readonly actor?: AuditSubject | undefined;
  /** What the actor proved itself with: `client_secret`, `access_token`, … */
  readonly credentialKind?: string | undefined;
  /** Id of the credential or session, never its secret. */
  readonly credentialId?: string | undefined;
  /** `jti` of the access token on the request. */
  readonly tokenId?: string | undefined;
  readonly action: string;
  readonly target?: AuditSubject | undefined;
  readonly orgId?: string | undefined;
  readonly result: "success" | "refused";
  readonly reason?: string | undefined;
  readonly detail?: string | undefined;
  readonly clientAddress?: string | undefined;
  readonly userAgent?: string | undefined;
  readonly details: Readonly<Record<string, string>>;
}
