/**
 * Why the gate decides as it does: one table for the audit, the metric, the
 * header for operators, explanations and the answers of every dialect.
 */

/** What a reason comes to; a dialect makes a status of it. */
export type GateOutcome =
  /** Lets the request through. */
  | "allow"
  /** Says who one is: 401, or a way to sign in. */
  | "unauthenticated"
  /** Not here, or not as that: 403. */
  | "forbidden"
  /** Too many, for now: 429. */
  | "limited"
  /** Cannot be told now, which lets nobody in: 503. */
  | "unavailable";

/** Each reason: what it comes to, and in words for operators. */
export const gateReasons = {
  IDENTIFIED: { outcome: "allow", text: "a provider vouches for the credential, and the policy lets it in" },
  PUBLIC_PATH: { outcome: "allow", text: "the path is public" },
  CORS_PREFLIGHT: { outcome: "allow", text: "a preflight of CORS, which the policy lets through" },
  NO_CREDENTIAL: { outcome: "unauthenticated", text: "the request carries no credential" },
  BAD_CREDENTIAL: { outcome: "unauthenticated", text: "no provider vouches for the credential" },
  AMBIGUOUS_CREDENTIAL: { outcome: "unauthenticated", text: "more than one credential of a kind" },
  SESSION_ENDED: { outcome: "unauthenticated", text: "the session at this frontend has ended" },
  SESSION_UNFIT: {
    outcome: "unauthenticated",
    text: "the session is of another place, or its provider does not let its holder in any more",
  },
  SESSION_DUE: {
    outcome: "unauthenticated",
    text: "the session is to be renewed at its provider, by a visit of its holder",
  },
  PROXY_UNPROVEN: {
    outcome: "forbidden",
    text: "the proxy's token is missing, doubled or not this frontdoor's",
  },
  MALFORMED_ASK: { outcome: "forbidden", text: "what the proxy asks cannot be read" },
  UNKNOWN_HOST: { outcome: "forbidden", text: "no frontend of the frontdoor has this host name" },
  FRONTDOOR_CLOSED: { outcome: "forbidden", text: "the frontdoor's organization is disabled" },
  FORGED_IDENTITY: { outcome: "forbidden", text: "the request carries a header that is the gate's own" },
  UPGRADE_REFUSED: { outcome: "forbidden", text: "an upgrade other than to WebSocket" },
  METHOD_REFUSED: { outcome: "forbidden", text: "CONNECT, TRACE, or no method at all" },
  ABNORMAL_PATH: {
    outcome: "forbidden",
    text: "the path is not in its normal form, and the policy goes by paths",
  },
  EMAIL_NOT_ALLOWED: { outcome: "forbidden", text: "no pattern of the policy fits a verified address" },
  CLAIM_MISSING: { outcome: "forbidden", text: "a claim that the policy requires is missing or another" },
  HEAD_TOO_LARGE: { outcome: "forbidden", text: "the identity does not fit into an answer's head" },
  KEY_RATE: { outcome: "limited", text: "the API key was used more often than the policy lets it" },
  TOO_MANY_FAILURES: { outcome: "limited", text: "too many bad credentials from the visitor's address" },
  UNAVAILABLE: { outcome: "unavailable", text: "the credential cannot be judged now" },
} as const satisfies Record<string, { readonly outcome: GateOutcome; readonly text: string }>;

/** Name of a reason; stable. */
export type GateReason = keyof typeof gateReasons;
