/** What the policy of a custom frontend may say: paths and patterns in the one form they are compared in. */
import { toAsciiDomain } from "../../lib/ascii-domain.ts";
import type { FieldViolation } from "../../lib/errors.ts";
import { invalidFields } from "../../lib/invalid-request.ts";
import type { JsonValue } from "../../lib/json.ts";
import type { ProviderData } from "../provider-types/provider-type.ts";
import type { FrontendPolicy } from "./frontend.ts";

/** Segments of visible ASCII; escapes of anything but what could be read as another path. */
const segment =
  "(?:[!$&'()+,=:@A-Za-z0-9._~-]|%(?!2[3EeFf]|3[Bb]|5[Cc]|25|[01][0-9A-Fa-f]|7[Ff])[0-9A-Fa-f]{2})+";
const pathPattern = new RegExp(`^/(?:${segment}(?:/${segment})*/?)?$`);

const emailPattern = /^[^\s@\p{C}]+@[^\s@\p{C}]+$/u;

const maxClaims = 32;
const maxClaimValues = 64;
const maxClaimLength = 512;

/** A policy in its one form. @throws DomainError INVALID_REQUEST with everything that is wrong */
export function toPolicy(policy: FrontendPolicy): FrontendPolicy {
  const violations = [
    ...findPathProblems("policy.public_paths", policy.publicPaths),
    ...findPathProblems("policy.protected_paths", policy.protectedPaths),
    ...(policy.publicPaths.length > 0 && policy.protectedPaths.length > 0
      ? [{ field: "policy.protected_paths", description: "must be absent where public_paths are given" }]
      : []),
    ...policy.emailPatterns.flatMap((pattern, index) =>
      emailPattern.test(pattern)
        ? []
        : [
            {
              field: `policy.email_patterns[${index}]`,
              description: "must be an address such as alice@example.com or *@example.com",
            },
          ],
    ),
    ...findClaimProblems(policy.requiredClaims),
  ];
  if (violations.length > 0) throw invalidFields(violations);
  return { ...policy, emailPatterns: policy.emailPatterns.map(toPlainPattern) };
}

/** In the spelling that addresses are kept in: lower case, and domains as DNS has them. */
function toPlainPattern(pattern: string): string {
  const [local = "", domain = ""] = pattern.toLowerCase().split("@");
  return `${local}@${toAsciiDomain(domain) ?? domain}`;
}

function findPathProblems(field: string, paths: readonly string[]): FieldViolation[] {
  const description = "must be a normal path such as /health, or /public/* for all below it";
  return paths.flatMap((path, index) =>
    isPolicyPath(path) ? [] : [{ field: `${field}[${index}]`, description }],
  );
}

/** Whether a policy can go by a path: one in its normal form, or such a one with `/*` behind it. */
export function isPolicyPath(path: string): boolean {
  const exact = path.endsWith("/*") ? path.slice(0, -1) : path;
  const hasDots = exact.split("/").some((part) => part === "." || part === "..");
  return pathPattern.test(exact) && !hasDots && hasTextEscapes(exact);
}

/** Whether the escapes of a path are UTF-8: what is not means a dot or a slash to some who decode it (RFC 3629 §10). */
export function hasTextEscapes(path: string): boolean {
  if (!/%[89A-Fa-f]/.test(path)) return true;
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false;
  }
}

function findClaimProblems(claims: ProviderData): FieldViolation[] {
  const entries = Object.entries(claims);
  const field = "policy.required_claims";
  if (entries.length > maxClaims)
    return [{ field, description: `must have at most ${maxClaims} properties` }];
  return entries.flatMap(([name, value]) => {
    const isGood = Array.isArray(value)
      ? value.length > 0 && value.length <= maxClaimValues && value.every(isClaimValue)
      : isClaimValue(value as JsonValue);
    if (isGood && isClaimName(name)) return [];
    const at = name.length <= maxClaimLength ? `${field}.${name}` : field;
    return [{ field: at, description: "must be of string, number or boolean, or of array of such" }];
  });
}

function isClaimName(name: string): boolean {
  return name !== "" && name !== "__proto__" && name.length <= maxClaimLength;
}

function isClaimValue(value: JsonValue): boolean {
  return typeof value === "string"
    ? value.length <= maxClaimLength
    : ["number", "boolean"].includes(typeof value);
}
