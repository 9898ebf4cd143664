/**
 * Which browser a flow belongs to.
 *
 * The cookie `vestibule_browser` holds 256 random bits, the same in all tabs;
 * a flow keeps their hash. It proves nothing but that two requests came from
 * one browser: that whoever ends a sign-in is who began it.
 */
import { randomBytes } from "node:crypto";
import { findCookies } from "../http/node-http.ts";
import { fromBase64url, toBase64url } from "../lib/base64url.ts";
import { hashSecret } from "../lib/secrets.ts";

/** Name of the cookie. */
const browserCookieName = "vestibule_browser";

/**
 * Name under which the same value goes by https, and is then the one that
 * counts: only this very host can set it (RFC 6265bis §4.1.3.2), while the
 * plain name may have been put there by a neighbour under the same domain, who
 * would have a browser end a sign-in that is not its own.
 */
const hostCookieName = `__Host-${browserCookieName}`;

/** How long a browser is remembered after its last `Authenticate`, in seconds. */
const maxAgeSeconds = 86_400;

/** How the browser's cookie is set. */
export interface BrowserCookieOptions {
  /** Whether browsers come by https. */
  readonly secure: boolean;
  /** Whether pages of other sites may sign in: the session's `same_site` is `none`. */
  readonly crossSite: boolean;
}

/** Tells browsers apart. */
export interface Browsers {
  /** The browser a request came from: every well-formed value it sent, usually one. */
  find(header: Headers): string[];
  /** The browser a request came from, or a new one. */
  get(header: Headers): string;
  /** `Set-Cookie` that has the browser remembered. */
  toSetCookies(browser: string): string[];
}

/** @see {@link Browsers} */
export function createBrowsers({ secure, crossSite }: BrowserCookieOptions): Browsers {
  const names = secure ? [browserCookieName, hostCookieName] : [browserCookieName];
  const nameThatCounts = secure ? hostCookieName : browserCookieName;
  // Never `SameSite=Strict`: providers send people back from their own site.
  const sameSite = crossSite ? "None" : "Lax";
  const attributes = `Max-Age=${maxAgeSeconds}; Path=/; HttpOnly; SameSite=${sameSite}${secure ? "; Secure" : ""}`;

  function find(header: Headers): string[] {
    return findCookies(header, nameThatCounts).filter((value) => fromBase64url(value)?.length === 32);
  }

  return {
    find,
    get: (header) => find(header)[0] ?? toBase64url(randomBytes(32)),
    toSetCookies: (browser) => names.map((name) => `${name}=${browser}; ${attributes}`),
  };
}

/** Whether one of the browsers is the one of a hash. */
export function isSameBrowser(browsers: readonly string[], browserHash: string): boolean {
  return browsers.some((browser) => hashSecret(browser) === browserHash);
}
