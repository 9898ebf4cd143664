/**
 * What a sign-in strategy is.
 *
 * A strategy only proves who someone is. The phases that all of them share
 * belong to the service (`auth/service.ts`) and cannot be forgotten by one:
 * flow rows and their expiry, the binding to the browser, single use, counting
 * wrong answers, exact redirect targets, linking and sign-up, sessions, audit.
 */
import type { Metadata } from "../lib/metadata.ts";
import type { MailMessage } from "../mail/message.ts";
import type { Caller } from "../principals/principal.ts";
import type { ProvenIdentity } from "../users/accounts.ts";

/** What `Authenticate` asks of a strategy. */
export interface BeginRequest {
  /** Lower case and well-formed; absent where the caller gave none. */
  readonly email?: string;
  /** Where the browser is to come back to: the strategy's own callback URL, or one of the configured. */
  readonly callbackUrl: string;
  /** The flow's `state`: 256 random bits, base64url. Kept by the service as a hash only. */
  readonly state: string;
  /** Name of the strategy whose identity the answer joins to the account of `email`. */
  readonly joins?: string;
  /** The signed-in person who asks, when there is one: only then may a passkey be registered. */
  readonly user?: SignedInUser;
}

/** A person with a live session. */
export interface SignedInUser {
  readonly userId: string;
  readonly email: string;
  readonly sessionId: string;
  /** When they last proved themselves, in this session. */
  readonly authenticatedAt: Date;
}

/** A person who is signed in as a flow is finished. */
export interface FinishingUser extends SignedInUser {
  /** They and their request, for the audit of what they change. */
  readonly caller: Caller;
}

/** What a strategy answers to `Authenticate`, and what it wants back when the flow comes to its end. */
export interface BeginResult {
  /** Where to send the browser; absent if nowhere. */
  readonly endpoint?: string;
  /** `state_options` of the answer. */
  readonly stateOptions?: Metadata;
  /**
   * Kept with the flow, sealed at rest: PKCE verifier, nonce, challenge, hash
   * of a code. JSON.
   */
  readonly secret: Metadata;
  /**
   * To be sent after the answer has been given, unless no more mails may go out
   * now. Where it cannot be sent the flow is removed.
   */
  readonly mail?: MailMessage;
}

/** What a caller brings back. */
export interface FinishRequest {
  /** `code` as it came: an OIDC code, a mailed code, a link's token. */
  readonly code: string;
  /** `state_options` as they came. */
  readonly stateOptions: Metadata;
  /** `iss` of the callback's query (RFC 9207), empty if it had none; absent where the query is not known. */
  readonly issuer?: string;
  /** `user` as the provider posted it beside the code: what it says of a person, signed by nobody. */
  readonly user?: string;
  readonly flow: FinishedFlow;
}

/**
 * The flow that is being finished: unexpired, from this browser, and if an
 * answer is allowed once already consumed. With `code` it is consumed when the
 * strategy says the answer is right.
 */
export interface FinishedFlow {
  readonly id: string;
  readonly email?: string;
  readonly callbackUrl: string;
  /** What `begin` wanted kept. */
  readonly secret: Metadata;
  /** Who began the flow in a session, which still lives and which this request comes with. */
  readonly user?: FinishingUser;
}

/** What was proven. */
export type Proof =
  /** Someone reads this mailbox: our own mail was answered. */
  | { readonly kind: "mailbox"; readonly email: string }
  /** An identity provider vouches. Identities are (issuer, subject); e-mail never re-keys one. */
  | ({ readonly kind: "identity" } & Omit<ProvenIdentity, "strategy">)
  /** A registered passkey was used, with user verification. */
  | { readonly kind: "passkey"; readonly userId: string; readonly passkeyId: string }
  /** A passkey was added to the signed-in person's account: no new session. */
  | { readonly kind: "registration"; readonly userId: string; readonly passkeyId: string };

/** A way to sign in. One file each, in `auth/strategies/`. */
export interface Strategy {
  readonly name: string;
  /** What a client may show; never holds a secret. */
  readonly params: Metadata;
  /** How long a flow may take. */
  readonly flowSeconds: number;
  /**
   * Of an identity provider: the URL of ours that it sends browsers back to, no
   * other provider's. Absent for a strategy that sends the browser nowhere.
   */
  readonly callbackUrl?: string;
  /** Whether the provider answers at our callback URL by a form (Form Post Response Mode 1.0), and so never by GET. */
  readonly isAnsweredByForm?: boolean;
  /**
   * How a wrong answer is counted: `code` keeps the flow until the cap of wrong
   * codes is reached, `once` ends it at the first answer, right or wrong.
   *
   * Also what a browser that comes to the callback URL by GET does: with `once`
   * it brings the answer, with `code` it is only shown a page, whose button
   * brings the answer by POST.
   */
  readonly attempts: "code" | "once";
  /**
   * For `code`: whether an answer is meant for a secret that nobody can guess,
   * such as a link's. It then proves nothing but by that secret, is not
   * counted, and is verified however many wrong codes there were. Absent, every
   * answer is a guess.
   */
  isUnguessable?(code: string): boolean;
  /** Whether nobody can begin by it until whoever runs the server mends something: it is not listed then. */
  isClosed?(): boolean;
  /** @throws DomainError INVALID_EMAIL, UNAVAILABLE, REAUTH_REQUIRED, … */
  begin(request: BeginRequest): Promise<BeginResult>;
  /**
   * @throws DomainError with the documented reason when nothing is proven;
   *   UNAVAILABLE is not counted as a wrong answer.
   */
  finish(request: FinishRequest): Promise<Proof>;
}
