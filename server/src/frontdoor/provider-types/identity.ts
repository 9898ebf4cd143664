import { DomainError } from "../../lib/errors.ts";
import { checkMetadata } from "../../lib/metadata.ts";
import { readPersonClaims } from "../../openid/person-claims.ts";
import type { JwtClaims } from "./bearer-jwt.ts";
import { toTexts } from "./data.ts";
import type { ProviderData, ProviderIdentity } from "./provider-type.ts";
import { refuse } from "./refused.ts";

/** Longest address taken from a claim, in characters (RFC 5321 §4.5.3.1). */
const longestEmail = 320;

/**
 * Who a token's claims say it is for: `sub`, `name`, `email` with `email_verified`
 * (OpenID Connect Core §5.1), `groups`, `organizations` and `org_id`.
 *
 * @param authoritativeDomains in lower case: an address of one counts as verified where the provider does not say
 */
export function toIdentity(
  claims: JwtClaims,
  authoritativeDomains: readonly string[] = [],
): ProviderIdentity {
  const {
    sub,
    name,
    email,
    email_verified: emailVerified,
    groups,
    organizations,
    org_id: orgId,
    exp,
  } = readPersonClaims(claims);
  const hasEmail = typeof email === "string" && email !== "" && email.length <= longestEmail;
  const isNamed = hasEmail && authoritativeDomains.includes(toDomain(email));
  const named = [...toTexts(organizations), ...toTexts([orgId])];
  return {
    subject: String(sub),
    ...(typeof name === "string" && name !== "" && { name }),
    ...(hasEmail && { email }),
    emailVerified: hasEmail && (emailVerified === undefined ? isNamed : emailVerified === true),
    organizations: [...new Set(named)],
    groups: toTexts(groups),
    claims: claims as ProviderData,
    ...(typeof exp === "number" && { expiresAt: new Date(exp * 1000) }),
    dependsOn: [],
  };
}

/** What is behind the only @ of an address; empty where there is none, or another. */
function toDomain(email: string): string {
  const [, domain = "", ...others] = email.split("@");
  return others.length > 0 ? "" : domain.toLowerCase();
}

/** Bounds what is kept of somebody who signed in. @throws Refused */
export function checkClaims(claims: JwtClaims): void {
  try {
    checkMetadata("claims", claims as ProviderData);
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    refuse("malformed", "the provider tells more of a person than is kept: have it send fewer claims");
  }
}
