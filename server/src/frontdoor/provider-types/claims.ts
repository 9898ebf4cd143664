import type { JsonValue } from "../../lib/json.ts";

/** Claims whose text is a list with spaces between (RFC 6749 §3.3). */
const spacedClaims = new Set(["scope", "scp"]);

/**
 * The first claim, by its name, that is not as required: a value that it must
 * have or contain, or a list of values that it must contain all of. undefined
 * when all are.
 */
export function findMissingClaim(
  claims: Readonly<Record<string, unknown>>,
  required: Readonly<Record<string, JsonValue>>,
): string | undefined {
  return Object.keys(required).find((name) => {
    const value = Object.hasOwn(claims, name) ? claims[name] : undefined;
    const held = spacedClaims.has(name) && typeof value === "string" ? value.split(" ") : [value].flat();
    return ![required[name]].flat().every((one) => held.includes(one));
  });
}
