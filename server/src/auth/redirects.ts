import { callbackPath } from "../config/urls.ts";
import { DomainError } from "../lib/errors.ts";

/** Where people may be sent: URLs as configured, to be repeated character by character, and pages of ours. */
export interface RedirectRules {
  /** `<public>/auth/callback`, where providers' answers and mail links lead. A provider's own URL is this one or below it. */
  readonly plainCallbackUrl: string;
  /** The first is the default. The plain one in here stands for each provider's own. */
  readonly callbackUrls: readonly string[];
  readonly authorizedRedirectUrls: readonly string[];
}

function refuse(field: string): never {
  const description = "must be one of the configured URLs, character by character";
  throw new DomainError("REDIRECT_NOT_ALLOWED", {
    message: `${field}: ${description}`,
    violations: [{ field, description }],
  });
}

/**
 * The callback URL that was asked for, or the default: of ours none but the
 * provider's own.
 *
 * @param own of the provider; absent for a strategy that sends the browser to none
 * @throws DomainError REDIRECT_NOT_ALLOWED
 */
export function getCallbackUrl(rules: RedirectRules, asked: string, own = rules.plainCallbackUrl): string {
  const { plainCallbackUrl, callbackUrls } = rules;
  const wanted = asked === "" ? (callbackUrls[0] ?? own) : asked;
  if (wanted !== own && !callbackUrls.includes(wanted)) return refuse("callback_url");
  return wanted === plainCallbackUrl ? own : wanted;
}

/** Whether a callback URL is a route of ours; all others are pages of clients. */
export function isOwnRoute({ plainCallbackUrl }: RedirectRules, callbackUrl: string): boolean {
  return callbackUrl === plainCallbackUrl || callbackUrl.startsWith(`${plainCallbackUrl}/`);
}

/**
 * Pages of ours that a sign-in may come back to with a query of theirs. Opening
 * one grants nothing, whatever its query says: what they do takes a form.
 */
const ownPages: readonly string[] = ["/gate/login", "/invitation"];

/** Names of flows and the like. No sign that means anything to a URL but these two. */
const plainQuery = /^[A-Za-z0-9_.=&-]+$/;

/** Whether a URL is a page of ours to come back to. Compared as text: nothing is parsed or decoded. */
function isOwnPage({ plainCallbackUrl }: RedirectRules, url: string): boolean {
  const publicUrl = plainCallbackUrl.slice(0, -callbackPath.length);
  return ownPages.some((path) => {
    const start = `${publicUrl}${path}?`;
    return url.startsWith(start) && plainQuery.test(url.slice(start.length));
  });
}

/** Whether a sign-in may lead to a URL in the end: one as configured, or a page of ours. */
export function isReturnTo(rules: RedirectRules, url: string): boolean {
  return rules.authorizedRedirectUrls.includes(url) || isOwnPage(rules, url);
}

/** Where to go in the end, if that was asked for. @throws DomainError REDIRECT_NOT_ALLOWED */
export function findReturnTo(rules: RedirectRules, asked: string): string | undefined {
  if (asked === "") return undefined;
  return isReturnTo(rules, asked) ? asked : refuse("return_to");
}
