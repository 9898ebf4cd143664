import type { Egress } from "../../egress/egress.ts";
import type { JsonCache } from "../../egress/json-cache.ts";
import type { Clock } from "../../lib/clock.ts";
import type { HeaderCredential } from "../../principals/presented.ts";
import type { Role } from "../../principals/principal.ts";

/** A key of an `API_KEY` provider as stored. */
export interface StoredApiKey {
  readonly id: string;
  readonly title: string;
  readonly expiresAt?: Date;
}

/** Where the keys of `API_KEY` providers are. */
export interface ApiKeySource {
  /**
   * The key with this hash (`hashSecret`), expired or not, if it belongs to
   * the provider. Does not note its use.
   *
   * @throws DomainError UNAVAILABLE
   */
  findApiKey(providerId: string, keyHash: string): Promise<StoredApiKey | undefined>;
  /** The key let somebody in, now. Never waits, never throws. */
  noteUse(id: string): void;
}

/** One of this service's own principals, proven and enabled. */
export interface OwnPrincipal {
  readonly type: "user" | "serviceuser";
  readonly id: string;
  readonly email?: string;
  readonly emailVerified: boolean;
  /** In enabled organizations. */
  readonly memberships: readonly { readonly orgId: string; readonly orgName: string; readonly role: Role }[];
  readonly expiresAt?: Date;
  /** Ids of the user, session, token, … that it was found by, and of its organizations. */
  readonly dependsOn: readonly string[];
}

/** This service's own chain of credentials, for the `VESTIBULE` type. */
export interface OwnPrincipals {
  /** `iss` of this service's access tokens. */
  readonly issuer: string;
  /** @throws DomainError when the credential is bad, its principal may not act, or neither can be told. */
  identify(credential: HeaderCredential): Promise<OwnPrincipal>;
  /** The person of a session, by its id. @throws as {@link identify} */
  identifySession(sessionId: string): Promise<OwnPrincipal>;
}

/** What the types need of the rest of the service. */
export interface ProviderTypeContext {
  /** Schemas have their `$id` below it. */
  readonly publicUrl: string;
  readonly egress: Egress;
  /** Discovery documents and key sets, for judging; a dry run fetches its own. */
  readonly documents: JsonCache;
  readonly clock: Clock;
  /** Leeway in reading the instants in others' tokens: `authentication.clock_skew`. */
  readonly clockSkewSeconds: number;
  readonly apiKeys: ApiKeySource;
  readonly own: OwnPrincipals;
}
