/**
 * Which paths of a frontend need an identity.
 *
 * Decided on the path as the proxy forwards it, byte for byte. What an app may
 * read as another path than it looks like is never public: it needs an identity
 * where paths are listed one by one, and is refused where a prefix decides.
 */
import type { FrontendPolicy } from "../../frontdoor/frontends/frontend.ts";
import { hasTextEscapes } from "../../frontdoor/frontends/policy.ts";

/** What a policy says of a path; `abnormal`: it cannot be told what it is. */
export type PathVerdict = "public" | "protected" | "abnormal";

/** Tells what a path is. @param path as sent, without the query */
export type PathRule = (path: string) => PathVerdict;

/**
 * Not in its normal form: empty or dot segments, a backslash, a semicolon, what
 * is not visible ASCII, a broken escape, or one that stands for `/ \ . ; % #` or a
 * control character. Of escapes that stand for no text see {@link hasTextEscapes}.
 */
const abnormalPattern =
  /\/\/|\/\.\.?(?:\/|$)|[^\x21-\x7e]|[\\;#]|%(?:[01][0-9A-Fa-f]|2[EeFf35]|3[Bb]|5[Cc]|7[Ff]|(?![0-9A-Fa-f]{2}))/;

/** Whether a path means the same to whoever reads it. */
export function isNormalPath(path: string): boolean {
  return path.startsWith("/") && !abnormalPattern.test(path) && hasTextEscapes(path);
}

/** Makes the rule of a policy. */
export function createPathRule(policy: Pick<FrontendPolicy, "publicPaths" | "protectedPaths">): PathRule {
  if (policy.protectedPaths.length > 0) return createProtectingRule(policy.protectedPaths);
  if (policy.publicPaths.length === 0) return () => "protected";
  const { exact, prefixes } = sortPaths(policy.publicPaths);
  const ofAbnormal = prefixes.length > 0 ? "abnormal" : "protected";
  return (path) => {
    if (!isNormalPath(path)) return ofAbnormal;
    return exact.has(path) || prefixes.some((prefix) => path.startsWith(prefix)) ? "public" : "protected";
  };
}

/**
 * Everything else is public, so that here doubt protects: a listed path counts
 * in capitals, with other escapes and with a slash at its end too, as apps may
 * take each of these for the same.
 */
function createProtectingRule(paths: readonly string[]): PathRule {
  const { exact, prefixes } = sortPaths(paths.map(toLoosePath));
  const all = new Set([...exact].map(withoutEndingSlash));
  return (path) => {
    if (!isNormalPath(path)) return "abnormal";
    const loose = toLoosePath(path);
    const isBelow = prefixes.some((prefix) => `${loose}/`.startsWith(prefix));
    return isBelow || all.has(withoutEndingSlash(loose)) ? "protected" : "public";
  };
}

function sortPaths(paths: readonly string[]) {
  return {
    exact: new Set(paths.filter((path) => !path.endsWith("/*"))),
    prefixes: paths.filter((path) => path.endsWith("/*")).map((path) => path.slice(0, -1)),
  };
}

/** Without escapes, in lower case, and what Unicode has several ways to write in one of them. @param path normal */
function toLoosePath(path: string): string {
  return decodeURIComponent(path).normalize("NFKC").toLowerCase();
}

function withoutEndingSlash(path: string): string {
  return path.endsWith("/") ? path.slice(0, -1) : path;
}
