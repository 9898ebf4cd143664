/**
 * What a frontend's policy says, step by step: of an ask before anybody is
 * judged, and of whoever a provider vouches for. Pure.
 */
import { findMissingClaim } from "../../frontdoor/provider-types/claims.ts";
import type { ProviderIdentity } from "../../frontdoor/provider-types/provider-type.ts";
import type { GateAsk, VisitorHeaders } from "../asks/ask.ts";
import { foldName } from "../asks/visitor-headers.ts";
import type { GateFrontend } from "../directory/frontend.ts";
import type { GateReason } from "./reasons.ts";

/** What needs no identity: let through, or refused whoever asks. undefined where somebody has to be judged. */
export function decideWithoutIdentity(
  frontend: Pick<GateFrontend, "isOpen" | "assertionHeader" | "paths" | "letsPreflightsThrough">,
  { path, method, headers }: Pick<GateAsk, "path" | "method" | "headers">,
): GateReason | undefined {
  if (!frontend.isOpen) return "FRONTDOOR_CLOSED";
  if (frontend.assertionHeader !== "" && hasLookalike(headers, frontend.assertionHeader.toLowerCase())) {
    return "FORGED_IDENTITY";
  }
  switch (frontend.paths(path)) {
    case "abnormal":
      return "ABNORMAL_PATH";
    case "public":
      return "PUBLIC_PATH";
    case "protected":
      break;
  }
  const isLetThrough = frontend.letsPreflightsThrough && method === "OPTIONS" && isPreflight(headers);
  return isLetThrough ? "CORS_PREFLIGHT" : undefined;
}

/** Whether an app may take a header for one that it gets from the gate; what has its very name is overwritten. */
function hasLookalike(headers: VisitorHeaders, own: string): boolean {
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at] ?? "";
    if (name.length === own.length && name !== own && foldName(name) === own) return true;
  }
  return false;
}

/** Whether a browser asks by it if it may ask (Fetch §3.2.2): it never carries a credential. */
function isPreflight(headers: VisitorHeaders): boolean {
  let hasOrigin = false;
  let hasMethod = false;
  for (let at = 0; at < headers.length; at += 2) {
    if (headers[at] === "origin") hasOrigin = true;
    else if (headers[at] === "access-control-request-method") hasMethod = true;
  }
  return hasOrigin && hasMethod;
}

/** Why somebody may not come in. */
export interface PolicyRefusal {
  readonly reason: GateReason;
  /** For operators. */
  readonly detail: string;
}

/** Whether the policy lets somebody's address in; undefined when it does. */
export function findEmailRefusal(
  { emails }: Pick<GateFrontend, "emails">,
  { email, emailVerified }: ProviderIdentity,
): PolicyRefusal | undefined {
  if (emails === undefined) return undefined;
  if (email === undefined || !emailVerified) {
    return { reason: "EMAIL_NOT_ALLOWED", detail: "the provider vouches for no address" };
  }
  return emails(email) ? undefined : { reason: "EMAIL_NOT_ALLOWED", detail: "no pattern fits the address" };
}

/** Whether somebody has the claims that the policy requires; undefined when they do. */
export function findClaimRefusal(
  { requiredClaims }: Pick<GateFrontend, "requiredClaims">,
  { claims }: ProviderIdentity,
): PolicyRefusal | undefined {
  const missing = findMissingClaim(claims, requiredClaims);
  if (missing === undefined) return undefined;
  return { reason: "CLAIM_MISSING", detail: `the claim ${JSON.stringify(missing)} is missing or another` };
}

/** Why somebody a provider vouches for may not come in; undefined when they may. */
export function findPolicyRefusal(
  frontend: GateFrontend,
  identity: ProviderIdentity,
): PolicyRefusal | undefined {
  return findEmailRefusal(frontend, identity) ?? findClaimRefusal(frontend, identity);
}
