/**
 * What a type of auth provider is.
 *
 * A type only says how its configuration looks and judges one credential by
 * it. Storing, secrets at rest, revisions, rates and audit are the service's,
 * so that a new type cannot forget them. The room stores nothing.
 */
import type { JsonObject } from "../../lib/json.ts";
import type { Metadata } from "../../lib/metadata.ts";
import type { HeaderCredential } from "../../principals/presented.ts";

/** Every type, in the order they are listed. */
export const providerTypeNames = ["OIDC", "GOOGLE", "GITHUB", "API_KEY", "JWT", "VESTIBULE"] as const;

/** Name of a type, as stored and on the wire. */
export type ProviderTypeName = (typeof providerTypeNames)[number];

/** A provider's configuration. What is stored and shown is what was written. */
export type ProviderData = JsonObject;

/** What a secret field reads as; on a write it means "the stored one". */
export const secretMask = "********";

/** A provider as its type sees it. */
export interface ProviderInstance {
  /** Absent in a dry run of a definition that is not stored. */
  readonly id?: string;
  /** The organization of its frontdoor. */
  readonly orgId: string;
  /** Valid by the type's schema; secrets in clear where they are known, never the mask. */
  readonly data: ProviderData;
}

/** A credential as it stands on a request that asks to come in. */
export type ProviderCredential = HeaderCredential | { readonly kind: "api_key"; readonly key: string };

/** Which credentials of a request belong to a provider. */
export interface AcceptedCredentials {
  /** Values of `iss` whose bearer JWTs it judges; compared exactly. */
  readonly issuers: readonly string[];
  /** Header, in lower case, that carries its keys. */
  readonly keyHeader?: string;
  /** Whether it judges what this service itself hands out besides JWTs: opaque tokens, client secrets, sessions. */
  readonly own: boolean;
}

/** Who a credential was found to be. */
export interface ProviderIdentity {
  /** Unique within the provider: the `sub` of a token, the id of a key or principal. */
  readonly subject: string;
  /** As people call it; absent where nobody says. */
  readonly name?: string;
  readonly email?: string;
  /** False whenever the issuer did not vouch for the address. */
  readonly emailVerified: boolean;
  readonly organizations: readonly string[];
  readonly groups: readonly string[];
  /** All claims, for a frontend's policy. Never a credential. */
  readonly claims: ProviderData;
  /** When the credential itself ends, if it says so. */
  readonly expiresAt?: Date;
  /** Ids of what this was read from in this service: once one of them changes it has to be judged anew. */
  readonly dependsOn: readonly string[];
  /** Notes that it let somebody in, now; judging does not. Never waits, never throws. Absent where nobody counts. */
  noteUse?(): void;
}

/** Why a credential was turned down; stable, for logs, metrics and explanations. */
export type RefusalReason =
  | "wrong_kind"
  | "malformed"
  | "wrong_token_type"
  | "wrong_algorithm"
  | "wrong_issuer"
  | "wrong_audience"
  | "unknown_key"
  | "bad_signature"
  | "expired"
  | "not_yet_valid"
  | "claim_mismatch"
  | "unknown_credential"
  | "not_permitted"
  | "unavailable";

/** A credential turned down. */
export interface ProviderRefusal {
  readonly allowed: false;
  /** `unavailable`: it could not be judged, which is a refusal too. */
  readonly reason: RefusalReason;
  /** For the provider's owner, in a dry run, an explanation or the audit: what to do next. Never for the visitor, never a secret. */
  readonly detail: string;
}

/** What a provider decides about a credential. */
export type ProviderDecision =
  | { readonly allowed: true; readonly identity: ProviderIdentity }
  | ProviderRefusal;

/** One step of a dry run. */
export interface ProviderCheck {
  /** Stable: `schema`, `name_resolution`, `discovery`, `issuer`, `jwks`, `endpoints`, `client`, `sample`, `sample_kind`, … */
  readonly name: string;
  readonly ok: boolean;
  /** What was found and, if it is not ok, what to do next. Never a secret. */
  readonly detail: string;
}

/** Credentials to try in a dry run. */
export interface ProviderSample {
  /** A bearer token. */
  readonly token?: string;
  readonly apiKey?: string;
}

/** Where a person is sent to sign in, and how. */
interface LoginRequest {
  /** Of this service, as registered with the provider. */
  readonly callbackUrl: string;
  readonly state: string;
  /** `none`: without asking anybody anything; `again`: whoever is signed in there is asked. */
  readonly prompt?: "none" | "again";
  readonly loginHint?: string;
}

/** What a provider's answer brought back. */
interface LoginAnswer {
  readonly code: string;
  readonly issuer?: string;
  readonly callbackUrl: string;
  /** As `begin` answered it. */
  readonly secret: Metadata;
}

/** A person whom their provider proved. */
interface LoggedIn {
  readonly allowed: true;
  /** Depends on nothing here. */
  readonly identity: ProviderIdentity;
  /** What it is asked again by: sealed at rest, never shown. Absent where only a visit can renew. */
  readonly kept?: Metadata;
  /** When the provider is to be asked again: at its token's end, in a minute at the least and an hour at the most. */
  readonly renewAt: Date;
  /** The provider's own name for its session (OpenID Connect Back-Channel Logout 1.0 §2.4). */
  readonly sid?: string;
}

/** How people come in by browser through another service. */
interface ProviderLogin {
  readonly kind: "provider";
  /** @throws DomainError UNAVAILABLE when the provider cannot be reached and nothing usable is at hand */
  begin(
    provider: ProviderInstance,
    request: LoginRequest,
  ): Promise<{ readonly endpoint: string; readonly secret: Metadata }>;
  /** A refusal is an answer; an outage among them. */
  finish(provider: ProviderInstance, answer: LoginAnswer): Promise<LoggedIn | ProviderRefusal>;
  /** Asks anew by what was kept. `unavailable`: ask again later; any other refusal ends the session. */
  renew(provider: ProviderInstance, kept: Metadata): Promise<LoggedIn | ProviderRefusal>;
  /** Whether somebody who signed in before is still let in by the provider's data as they are now. Pure. */
  admit(provider: ProviderInstance, identity: ProviderIdentity): ProviderDecision;
  /** Verifies a logout token (OpenID Connect Back-Channel Logout 1.0 §2.6); absent where there is no such thing. */
  verifyLogout?(
    provider: ProviderInstance,
    token: string,
  ): Promise<
    | {
        readonly allowed: true;
        readonly subject?: string;
        readonly sid?: string;
        readonly jti: string;
        readonly issuedAt: Date;
      }
    | ProviderRefusal
  >;
}

/** How people come in by browser through this service's own sessions. */
interface OwnLogin {
  readonly kind: "own";
  /** Whether the person of a session is let in, and who they are: as all of it is now. */
  judge(provider: ProviderInstance, sessionId: string): Promise<ProviderDecision>;
}

/** One type of auth provider. */
export interface ProviderType {
  readonly name: ProviderTypeName;
  readonly displayName: string;
  readonly description: string;
  /** JSON Schema 2020-12 of `data`, complete with `$id`. */
  readonly schema: ProviderData;
  /** Properties of `data` that are encrypted at rest and shown as the mask. */
  readonly secretFields: readonly string[];
  /** Properties that list ids of organizations whose members come in: whoever writes them manages each. */
  readonly organizationFields: readonly string[];
  /** Properties that decide where a secret is sent, or as whom: when one changes, no stored secret may be kept. */
  readonly endpointFields: readonly string[];
  /**
   * The one spelling of data with the defaults filled in, to compare endpoints
   * by. Takes any data that the schema accepts; pure.
   */
  normalise(data: ProviderData): ProviderData;
  /** Which credentials of a request are this provider's to judge. */
  accepts(data: ProviderData): AcceptedCredentials;
  /** How people come in by browser; absent for a type that judges only what a request carries. */
  readonly login?: ProviderLogin | OwnLogin;
  /**
   * Judges one credential. A refusal is an answer, not an error, and so is an
   * outage; throws only for a defect.
   */
  authenticate(provider: ProviderInstance, credential: ProviderCredential): Promise<ProviderDecision>;
  /**
   * Dry run: checks one at a time, each as soon as it is known, at most a few
   * dozen seconds in all. Stores nothing, and asks every server afresh. Ends
   * early when `signal` is aborted.
   */
  test(provider: ProviderInstance, sample: ProviderSample, signal: AbortSignal): AsyncIterable<ProviderCheck>;
}

/**
 * Endpoint fields that differ between two configurations of one type, after
 * normalisation. When any do, only a secret given literally may be stored, or
 * sent in a dry run.
 */
export function changedEndpointFields(
  type: ProviderType,
  before: ProviderData,
  after: ProviderData,
): readonly string[] {
  const [from, to] = [type.normalise(before), type.normalise(after)];
  return type.endpointFields.filter((field) => JSON.stringify(from[field]) !== JSON.stringify(to[field]));
}
