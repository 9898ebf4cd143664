/** Where the dialects have the line of a visitor's request: found here, and read by the grammar of `read-ask.ts`. */
import type { RequestLine } from "./read-ask.ts";
import { findJoinedLines, findOnlyLine } from "./visitor-headers.ts";

/**
 * The visitor's request as nginx is configured to tell it: `X-Original-URL`,
 * `https://host/path?query`, and `X-Original-Method`, exactly one line each.
 * undefined where that is not so; what is in them is not read yet.
 */
export function findOriginal(lines: readonly string[]): RequestLine | undefined {
  const url = findOnlyLine(lines, "x-original-url");
  const method = findOnlyLine(lines, "x-original-method");
  if (url === undefined || method === undefined) return undefined;
  const colon = url.indexOf("://");
  const slash = url.indexOf("/", colon + 3);
  if (colon < 0 || slash < 0) return undefined;
  return { scheme: url.slice(0, colon), host: url.slice(colon + 3, slash), method, target: url.slice(slash) };
}

/**
 * The visitor's request as Traefik, Caddy and others tell it:
 * `X-Forwarded-Method`, `-Proto`, `-Host` and `-Uri`, exactly one line each.
 * undefined where that is not so; what is in them is not read yet.
 */
export function findForwarded(lines: readonly string[]): RequestLine | undefined {
  const method = findOnlyLine(lines, "x-forwarded-method");
  const scheme = findOnlyLine(lines, "x-forwarded-proto");
  const host = findOnlyLine(lines, "x-forwarded-host");
  const target = findOnlyLine(lines, "x-forwarded-uri");
  if (method === undefined || scheme === undefined || host === undefined || target === undefined) {
    return undefined;
  }
  return { scheme, host, method, target };
}

/**
 * The visitor's request as Envoy repeats it: method and target are the ask's
 * own, behind the route, and so is the host, exactly one line. The scheme is in
 * `X-Forwarded-Proto` where that is passed on, once at most.
 *
 * @param target what follows the route
 */
export function findRepeated(
  method: string,
  target: string,
  lines: readonly string[],
): RequestLine | undefined {
  // Of several the grammar makes nothing.
  const host = findJoinedLines(lines, "host");
  const authority = findJoinedLines(lines, ":authority");
  const scheme = findJoinedLines(lines, "x-forwarded-proto");
  if (host !== undefined && authority !== undefined) return undefined;
  const only = host ?? authority;
  return only === undefined ? undefined : { scheme, host: only, method, target };
}
