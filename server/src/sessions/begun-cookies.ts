import type { SessionCookies } from "./cookie.ts";
import type { KnownBrowsers } from "./known-browsers.ts";
import type { BegunSession } from "./service.ts";

/** `Set-Cookie` that has a browser keep the session that it has begun, and the key by which the account knows it. */
export function toBegunCookies(
  begun: BegunSession,
  {
    cookies,
    knownBrowsers,
  }: {
    readonly cookies: Pick<SessionCookies, "toSetCookies">;
    readonly knownBrowsers: Pick<KnownBrowsers, "toSetCookie">;
  },
): readonly string[] {
  const { authenticatedAt, expiresAt } = begun.session;
  return [
    ...cookies.toSetCookies(begun, authenticatedAt, expiresAt),
    knownBrowsers.toSetCookie(begun.browserKey),
  ];
}
