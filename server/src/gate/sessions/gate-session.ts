/** What a session at a custom frontend is, stored and about to be. */
import type { ProviderIdentity } from "../../frontdoor/provider-types/provider-type.ts";
import type { Metadata } from "../../lib/metadata.ts";
import type { Device } from "../../sessions/session.ts";
import type { GateFrontend } from "../directory/frontend.ts";

/** A session of a person at a custom frontend, in one browser. */
export interface GateSession {
  /** Shown in lists. The cookie holds another, secret one. */
  readonly id: string;
  readonly frontdoorId: string;
  readonly frontendId: string;
  /** The visitor's, which the cookie is bound to. */
  readonly host: string;
  readonly providerId: string;
  /** The revision of the provider that proved who it is. */
  readonly providerRevision: number;
  /** Within the provider; for `VESTIBULE` the id of the user. */
  readonly subject: string;
  /** The person's own session, which this one ends with; absent where another service proved them. */
  readonly parentId?: string;
  /** Who the provider said it is; absent where that is asked anew each time. */
  readonly identity?: StoredIdentity;
  /** When the provider is to be asked again; absent where it is asked each time. */
  readonly renewAt?: Date;
  /** Whether this service itself can ask it; if not, a visit of its holder has to. */
  readonly isRenewable: boolean;
  /** Until when nobody asks it again who has not begun to, and whether somebody has. */
  readonly lease?: { readonly until: Date; readonly isHeld: boolean };
  readonly device: Device;
  readonly createdAt: Date;
  /** When it was last used, to the minute. */
  readonly lastUsedAt: Date;
  /** When it ends, used or not. */
  readonly expiresAt: Date;
}

/** What is kept of an identity: all but what only this service's own have. */
export type StoredIdentity = Pick<
  ProviderIdentity,
  "subject" | "name" | "email" | "emailVerified" | "organizations" | "groups" | "claims"
>;

/** Somebody who has been proven, about to be let in at a frontend. */
export interface NewGateSession {
  readonly frontend: Pick<GateFrontend, "id" | "frontdoorId">;
  /** The visitor's. */
  readonly host: string;
  /** Who proved it, and by which of its revisions: a later one may have ended all its sessions. */
  readonly provider: { readonly id: string; readonly revision: number };
  /** For `VESTIBULE` only the subject counts, which is the id of the user. */
  readonly identity: ProviderIdentity;
  /** For `VESTIBULE`, and only there: the person's own session. */
  readonly parentSessionId?: string;
  /** What another provider is asked again by: a secret, sealed at rest. */
  readonly kept?: Metadata;
  /** When another provider is to be asked again. */
  readonly renewAt?: Date;
  /** The provider's own name for its session. */
  readonly sid?: string;
  /** A session that this is another proof of; its end stays, if it is its holder's, and else it ends. */
  readonly renews?: string;
  /** `session_max_age` of the frontend. */
  readonly maxAgeSeconds: number;
  readonly device: Device;
}

/** What of an identity is kept. */
export function toStored(identity: ProviderIdentity): StoredIdentity {
  const { subject, name, email, emailVerified, organizations, groups, claims } = identity;
  return {
    subject,
    ...(name !== undefined && { name }),
    ...(email !== undefined && { email }),
    emailVerified,
    organizations,
    groups,
    claims,
  };
}

/** Who a provider said it is, as it says it. */
export function fromStored(identity: StoredIdentity): ProviderIdentity {
  return { ...identity, dependsOn: [] };
}

/** Most sessions of one holder of a provider; the one after that ends the oldest. */
export const sessionsPerSubject = 100;
