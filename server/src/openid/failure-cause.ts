import type { EgressReason } from "../egress/egress-error.ts";

/** What was asked, by the names of its metadata (RFC 8414 §2) where it has one. */
export type Asked =
  | "discovery"
  | "authorization_endpoint"
  | "token_endpoint"
  | "jwks_uri"
  | "userinfo_endpoint"
  | "emails_endpoint"
  | "organizations_endpoint";

/** What went wrong. Texts of the provider are cut and cleaned. */
export type FailureCause =
  /** It answered by an error (RFC 6749 §4.1.2.1, §5.2; RFC 6750 §3.1). */
  | {
      readonly kind: "refused";
      readonly at: Asked;
      readonly error: string;
      readonly description?: string | undefined;
      readonly status?: number | undefined;
    }
  /** It answered with a status that says no. */
  | { readonly kind: "status"; readonly at: Asked; readonly status: number }
  /** No answer was had from it, or none over a connection that can be trusted. */
  | {
      readonly kind: "unreachable";
      /** Absent where all of it together took too long. */
      readonly at?: Asked;
      readonly reason: EgressReason;
      readonly detail: string;
    }
  /** A claim of the ID token (OpenID Connect Core 1.0 §3.1.3.7), or of what else was asked, is not what it has to be. */
  | {
      readonly kind: "claim";
      readonly at: Asked;
      readonly claim: string;
      readonly expected?: string | undefined;
      readonly found?: string | undefined;
    }
  /** An ID token is signed by an algorithm that is not taken. */
  | { readonly kind: "algorithm"; readonly found: string; readonly expected: string }
  /** The signature of an ID token is not one of the issuer's. */
  | { readonly kind: "signature"; readonly detail: string }
  /** What it answered cannot be read, or lacks something. */
  | { readonly kind: "answer"; readonly at: Asked; readonly detail: string };
