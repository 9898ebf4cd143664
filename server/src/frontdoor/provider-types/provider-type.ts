/**
 * What a type of auth provider is.
 *
 * A type only says how its configuration looks, judges one credential by it,
 * and asks its provider who a person is. Storing, secrets at rest, revisions,
 * rates and audit are the service's, so that a new type cannot forget them. The
 * room stores nothing.
 */
import type { DomainError } from "../../lib/errors.ts";
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
  /** Set where it is not the person that is turned down, but their provider that was of no use: what they are told. */
  readonly failure?: DomainError;
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

/** People are sent to the provider, which sends them back with a code. */
export interface ProviderLogin {
  readonly kind: "provider";
  /** Whether the data has all that a login needs; secrets may read as the mask. Pure. */
  isPossible(data: ProviderData): boolean;
  /** @throws DomainError UNAVAILABLE, PROVIDER_REFUSED, PROVIDER_PROVES_NOTHING when nobody can be sent there */
  begin(provider: ProviderInstance, request: LoginRequest): Promise<LoginBegun>;
  /** Answers in some eight seconds at most. A refusal is an answer, `unavailable` among them. */
  finish(provider: ProviderInstance, answer: LoginAnswer): Promise<LoginOutcome>;
  /**
   * Asks anew, by what was kept, who somebody is. `unavailable`: nothing can be
   * told now, ask again later; any other refusal is the provider's no.
   */
  renew(provider: ProviderInstance, login: RenewedLogin): Promise<LoginOutcome>;
  /**
   * Whether somebody who signed in before would still be let in by the data as
   * it is now; the identity is what this data makes of them. Pure.
   */
  admit(provider: ProviderInstance, identity: ProviderIdentity): ProviderDecision;
  /**
   * Reads a logout token (OpenID Connect Back-Channel Logout 1.0 §2.6). That it
   * was not seen before is the caller's to know, by `jti`. Absent where the
   * type has no such thing.
   */
  verifyLogout?(provider: ProviderInstance, token: string): Promise<LogoutOutcome>;
}

/** People come in by this service's own session. */
export interface OwnLogin {
  readonly kind: "own";
  /**
   * Whether the person of a live session may come in, as of now. The answer
   * depends on the session and its person among others.
   */
  judge(provider: ProviderInstance, sessionId: string): Promise<ProviderDecision>;
}

/** A browser to be sent to the provider. */
export interface LoginRequest {
  readonly callbackUrl: string;
  readonly state: string;
  /** `none`: without showing anything, or not at all. `again`: people say who they are, though the provider knows. */
  readonly prompt?: "none" | "again";
  /** Whom the provider should propose. */
  readonly loginHint?: string;
}

/** Where to send the browser, and what has to be kept until it comes back. */
export interface LoginBegun {
  readonly endpoint: string;
  /** A secret. */
  readonly secret: Metadata;
}

/** What the browser came back with, at the very provider it was sent to. */
export interface LoginAnswer {
  readonly code: string;
  /** `iss` of the callback's query (RFC 9207); absent where it had none. */
  readonly issuer?: string;
  readonly callbackUrl: string;
  /** As {@link LoginBegun} has it. */
  readonly secret: Metadata;
}

/** A login as it was kept. */
export interface RenewedLogin {
  readonly kept: Metadata;
  readonly identity: ProviderIdentity;
}

/** Somebody is who the provider says. */
export interface LoggedIn {
  readonly allowed: true;
  /** Without an end: how long a login is good is the frontend's to say. */
  readonly identity: ProviderIdentity;
  /** What a renewal goes by. Secrets. Absent where a renewal takes the browser, with `prompt` `none`. */
  readonly kept?: Metadata;
  /** When the provider wants to be asked again: in a minute at the earliest, in an hour at the latest. */
  readonly renewAt: Date;
  /** The provider's name for its own session (`sid`), by which a logout may name this login. */
  readonly sid?: string;
}

/** What came of a login or of its renewal. */
export type LoginOutcome = LoggedIn | ProviderRefusal;

/** A logout that the provider told of; it has a subject, a session, or both. */
export interface ProvenLogout {
  readonly allowed: true;
  readonly subject?: string;
  readonly sid?: string;
  readonly jti: string;
  readonly issuedAt: Date;
  /** Until when the token could be presented again. */
  readonly goodUntil: Date;
}

/** What came of a logout token. */
export type LogoutOutcome = ProvenLogout | ProviderRefusal;

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
  /**
   * Judges one credential. A refusal is an answer, not an error, and so is an
   * outage; throws only for a defect.
   */
  authenticate(provider: ProviderInstance, credential: ProviderCredential): Promise<ProviderDecision>;
  /** How people come in by browser; absent for a type that only judges what a request carries. */
  readonly login?: ProviderLogin | OwnLogin;
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
