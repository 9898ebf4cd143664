/**
 * URLs as settings give them. The text is held against what the parser made
 * of it, so that nothing it repairs or drops in silence gets through.
 */
import { isIPv4 } from "node:net";
import { ValueError } from "../lib/value-error.ts";

/** What no URL here may contain: white space, controls, backslashes, wildcards. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: controls are what is looked for
const forbidden = /[\s\\*\u0000-\u001f\u007f]/;

function parseHttpUrl(text: string, expected: string): URL {
  const url = URL.canParse(text) && !forbidden.test(text) ? new URL(text) : undefined;
  const isHttp = url !== undefined && /^https?:\/\/[^/]/i.test(text) && /^https?:$/.test(url.protocol);
  if (!isHttp || url.username !== "" || url.password !== "") throw new ValueError(expected);
  return url;
}

/**
 * Reads an http or https origin; a slash at its end is dropped.
 *
 * @throws ValueError for anything with a path, query, fragment or user.
 */
export function parsePublicUrl(text: string): string {
  const expected =
    "must be an http or https origin such as https://auth.example.com: no path, query or fragment";
  const url = parseHttpUrl(text, expected);
  if (/[?#@]/.test(text) || url.pathname !== "/" || /^https?:\/\/[^/]+\/.+$/i.test(text))
    throw new ValueError(expected);
  return url.origin;
}

/**
 * Reads an origin exactly as browsers send it (RFC 6454 §6.2).
 *
 * @throws ValueError
 */
export function parseOrigin(text: string): string {
  const expected =
    "must be one exact origin such as https://app.example.com: lower case, no slash at its end, no wildcard";
  if (parseHttpUrl(text, expected).origin !== text) throw new ValueError(expected);
  return text;
}

/**
 * Reads a URL that requests have to repeat character by character.
 *
 * @throws ValueError
 */
export function parseExactUrl(text: string): string {
  const expected = "must be an absolute http or https URL, exact: no wildcard, user or fragment";
  parseHttpUrl(text, expected);
  if (text.includes("#")) throw new ValueError(expected);
  return text;
}

/**
 * Reads an OpenID Connect issuer (Discovery 1.0 §3): https, or http on this
 * machine. Kept as written, as ID tokens must equal it; `{tenantid}` in it is
 * one step of its path.
 *
 * @throws ValueError
 */
export function parseIssuerUrl(text: string): string {
  const expected = "must be an https URL without query or fragment (http only on a loopback host)";
  const url = parseHttpUrl(text, expected);
  if (/[?#]/.test(text) || !isSecure(url)) throw new ValueError(expected);
  if (/[{}]/.test(text.replace(/^(https?:\/\/[^/{}]+(?:\/[^{}]*)?\/)\{tenantid\}(?=\/|$)/i, "$1"))) {
    throw new ValueError("may hold {tenantid} once, as a step of its path, and no other braces");
  }
  return text;
}

/**
 * Reads where a provider's document is: https, or http on this machine.
 *
 * @throws ValueError
 */
export function parseDocumentUrl(text: string): string {
  const expected = "must be an https URL without fragment (http only on a loopback host)";
  const url = parseHttpUrl(text, expected);
  if (text.includes("#") || !isSecure(url)) throw new ValueError(expected);
  return text;
}

/**
 * Reads the origin of another site: https, or http on this machine.
 *
 * @throws ValueError
 */
export function parseSiteUrl(text: string): string {
  const expected = "must be an https origin (http only on a loopback host)";
  const url = parseHttpUrl(text, expected);
  if (/[?#]/.test(text) || url.pathname !== "/" || !isSecure(url)) throw new ValueError(expected);
  return url.origin;
}

/**
 * Reads the value of `iss` or `aud`: with a colon it is a URI (RFC 7519 §2).
 *
 * @throws ValueError
 */
export function parseStringOrUri(text: string): string {
  const isPlain = /^[\x21-\x7e]{1,255}$/.test(text);
  if (!isPlain || (text.includes(":") && !URL.canParse(text))) {
    throw new ValueError("must be a URI, or a name without colon, of at most 255 ASCII characters");
  }
  return text;
}

/** Path of the URL that browsers come back to; those of single providers are below it. */
export const callbackPath = "/auth/callback";

/** Whether a URL leads to one of those, however it is written. */
export function isOwnCallback(url: string, publicUrl: string): boolean {
  const { origin, pathname } = new URL(url);
  return origin === publicUrl && (pathname === callbackPath || pathname.startsWith(`${callbackPath}/`));
}

/** Reads an SMTP URL: `smtp://user:password@host:587`, or `smtps://` for TLS from the first byte. */
export function parseSmtpUrl(text: string): string {
  const isSmtp = /^smtps?:\/\//i.test(text) && URL.canParse(text) && !/\s/.test(text);
  if (!isSmtp || new URL(text).hostname === "") {
    throw new ValueError("must be smtp://[user:password@]host[:port] or smtps://…");
  }
  return text;
}

function isSecure(url: URL): boolean {
  return url.protocol === "https:" || isLoopback(url.hostname);
}

/** Whether a host, as `URL.hostname` says it, is this machine by name or address. */
export function isLoopback(hostname: string): boolean {
  if (isAddress(hostname)) return hostname.startsWith("127.") || hostname === "[::1]";
  return hostname === "localhost" || hostname.endsWith(".localhost");
}

/** Whether a host, as `URL.hostname` says it, is an address instead of a name; one of IPv6 is in brackets there. */
export function isAddress(hostname: string): boolean {
  return hostname.startsWith("[") || isIPv4(hostname);
}

/** Whether `host` is `domain` or below it. */
export function isWithin(host: string, domain: string): boolean {
  return host === domain || host.endsWith(`.${domain}`);
}
