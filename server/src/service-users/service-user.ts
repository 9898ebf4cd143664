import type { Metadata } from "../lib/metadata.ts";
import type { Role } from "../principals/principal.ts";

/** A machine: a non-human account of one organization. */
export interface ServiceUser {
  readonly id: string;
  readonly orgId: string;
  readonly title: string;
  readonly metadata: Metadata;
  readonly role: Role;
  readonly state: "enabled" | "disabled";
  /** May do everything, everywhere: the bootstrap service user. */
  readonly superuser: boolean;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  /** Coarse; absent if no credential of it was ever used. */
  readonly lastUsedAt?: Date;
}
