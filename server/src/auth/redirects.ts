import { DomainError } from "../lib/errors.ts";

/** Where people may be sent: URLs as configured, to be repeated character by character. */
export interface RedirectRules {
  /** Where our own pages are answered. A provider's own URL is this one or below it. */
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

/** Where to go in the end, if that was asked for. @throws DomainError REDIRECT_NOT_ALLOWED */
export function findReturnTo({ authorizedRedirectUrls }: RedirectRules, asked: string): string | undefined {
  if (asked === "") return undefined;
  return authorizedRedirectUrls.includes(asked) ? asked : refuse("return_to");
}
