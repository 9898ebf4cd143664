/** What a custom frontend may be told: host names, paths and patterns in the one form they are compared in. */
import type { FieldViolation } from "../../lib/errors.ts";
import { invalidFields } from "../../lib/invalid-request.ts";
import type { JsonValue } from "../../lib/json.ts";
import type { ProviderData } from "../provider-types/provider-type.ts";
import type { FrontendPolicy } from "./frontend.ts";

const label = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
const hostnamePattern = new RegExp(`^(?=.{1,253}(:|$))${label}(\\.${label})*(:[1-9][0-9]{0,4})?$`);

/** A frontend may be behind either; the port of one is not shown there. */
const schemes = ["https", "http"];

/** Segments of visible ASCII; escapes of anything but what could be read as another path. */
const segment =
  "(?:[!$&'()+,=:@A-Za-z0-9._~-]|%(?!2[EeFf]|3[Bb]|5[Cc]|25|[01][0-9A-Fa-f]|7[Ff])[0-9A-Fa-f]{2})+";
const pathPattern = new RegExp(`^/(?:${segment}(?:/${segment})*/?)?$`);

const emailPattern = /^[^\s@\p{C}]+@[^\s@\p{C}]+$/u;

const maxClaims = 32;
const maxClaimValues = 64;
const maxClaimLength = 512;

/**
 * A host name as browsers send it in `Host`: anything else would never be
 * matched. In lower case; a port only where it is not the scheme's own.
 *
 * @throws DomainError INVALID_REQUEST
 */
export function toHostname(text: string): string {
  const hostname = text.toLowerCase();
  if (hostnamePattern.test(hostname) && schemes.every((scheme) => isShown(scheme, hostname))) return hostname;
  throw invalidFields([
    {
      field: "hostname",
      description:
        "must be a host name such as app.example.com, international ones as xn--, with a port only if it is neither 80 nor 443",
    },
  ]);
}

/** Not numbers that stand for an address, punycode that stands for nothing, a port beyond the last. */
function isShown(scheme: string, hostname: string): boolean {
  const url = `${scheme}://${hostname}`;
  return URL.canParse(url) && new URL(url).host === hostname;
}

/** A policy in its one form. @throws DomainError INVALID_REQUEST with everything that is wrong */
export function toPolicy(policy: FrontendPolicy): FrontendPolicy {
  const violations = [
    ...policy.publicPaths.flatMap((path, index) =>
      isPublicPath(path)
        ? []
        : [
            {
              field: `policy.public_paths[${index}]`,
              description: "must be a normal path such as /health, or /public/* for all below it",
            },
          ],
    ),
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
  return {
    publicPaths: policy.publicPaths,
    emailPatterns: policy.emailPatterns.map((pattern) => pattern.toLowerCase()),
    requiredClaims: policy.requiredClaims,
  };
}

/** Whether a path is one that can be public: in its normal form, or such a one with `/*` behind it. */
export function isPublicPath(path: string): boolean {
  const exact = path.endsWith("/*") ? path.slice(0, -1) : path;
  const hasDots = exact.split("/").some((part) => part === "." || part === "..");
  return pathPattern.test(exact) && !hasDots;
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
