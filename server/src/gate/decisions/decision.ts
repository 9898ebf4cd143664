import type { GateAsk } from "../asks/ask.ts";
import type { GateFrontend } from "../directory/frontend.ts";
import type { GateReason } from "./reasons.ts";

/** A header for the upstream, or for the visitor: name in its usual case, and value. */
export type HeaderLine = readonly [name: string, value: string];

/** The request may go through. */
export interface GateAllowed {
  readonly isAllowed: true;
  readonly reason: GateReason;
  /**
   * Every identity header, the assertion and its second name included, empty
   * where there is nothing: the whole set each time, made once per cache entry.
   */
  readonly identity: readonly HeaderLine[];
  /** Header that carried the judged credential, in lower case, which the upstream must not see; none where nothing was judged. */
  readonly consumed?: string;
  /** Headers that carry API keys at the frontend, in lower case: proxies may be configured to take them from every answer. */
  readonly keyHeaders: readonly string[];
  /** `Cookie` for the upstream, without ours; absent when nothing has to be taken from it. */
  readonly cookie?: string;
}

/** The request may not go through. */
export interface GateDenied {
  readonly isAllowed: false;
  readonly reason: GateReason;
  /** For operators: what was wrong, and with which provider. Never for the visitor, never a secret. */
  readonly detail?: string;
  /** For `WWW-Authenticate` (RFC 9110 §11.6.1), a challenge each. */
  readonly challenges?: readonly string[];
  /** When to come again, where that helps. */
  readonly retryAfterSeconds?: number;
  /** Where a browser signs in at this frontend, if people can; a navigation is sent there. */
  readonly login?: string;
}

/** What the gate decides about an ask. */
export type GateDecision = GateAllowed | GateDenied;

/** Decides; at once where everything is in memory. Never rejects: what cannot be told is a denial. */
export type Decide = (ask: GateAsk) => GateDecision | Promise<GateDecision>;

/** Who comes in, as the upstream is told. */
export interface GateIdentity {
  /** `<provider id>:<sub>`, or the id of this service's own user or service user: no two providers share one. */
  readonly subject: string;
  readonly providerId: string;
  /** Verified, else absent. */
  readonly email?: string;
  readonly name?: string;
  readonly organizations: readonly string[];
  readonly groups: readonly string[];
}

/** What identity headers are made for. */
export interface IdentityTarget {
  /** The visitor's host, which the assertion is for. */
  readonly host: string;
  readonly frontend: Pick<GateFrontend, "scheme" | "assertionHeader">;
  /** When the credential itself ends, if it does. */
  readonly endsAt?: Date;
}

/** Identity headers, ready for many answers. */
export interface IdentityHeaders {
  readonly lines: readonly HeaderLine[];
  /** From when on they are made anew: half the life of their assertion, in milliseconds since the epoch. */
  readonly renewAtMs: number;
}

/**
 * Makes the whole set of identity headers, without an identity too.
 *
 * @throws DomainError UNAVAILABLE when the assertion cannot be signed now
 */
export type MakeIdentityHeaders = (
  target: IdentityTarget,
  identity: GateIdentity | undefined,
) => Promise<IdentityHeaders>;
