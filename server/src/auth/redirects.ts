import { DomainError } from "../lib/errors.ts";

/** Where people may be sent: URLs as configured, to be repeated character by character. */
export interface RedirectRules {
  /** The first is the default. */
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

/** The callback URL that was asked for, or the default. @throws DomainError REDIRECT_NOT_ALLOWED */
export function getCallbackUrl({ callbackUrls }: RedirectRules, asked: string): string {
  const [first] = callbackUrls;
  if (first === undefined) throw new Error("no callback URL is configured");
  if (asked === "") return first;
  return callbackUrls.includes(asked) ? asked : refuse("callback_url");
}

/** Where to go in the end, if that was asked for. @throws DomainError REDIRECT_NOT_ALLOWED */
export function findReturnTo({ authorizedRedirectUrls }: RedirectRules, asked: string): string | undefined {
  if (asked === "") return undefined;
  return authorizedRedirectUrls.includes(asked) ? asked : refuse("return_to");
}
