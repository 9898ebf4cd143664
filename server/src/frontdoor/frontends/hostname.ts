/** Host names of custom frontends: the one form they are compared in, and which of them a host is found by. */
import { invalidField } from "../../lib/invalid-request.ts";

const label = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
const hostnamePattern = new RegExp(`^(?=.{1,253}(:|$))${label}(\\.${label})*(:[1-9][0-9]{0,4})?$`);

/** Names of this machine alone (RFC 6761 §6.3, RFC 1122 §3.2.1.3). */
const loopbackPattern = /^((.+\.)?localhost|127(\.[0-9]+){3})(:[0-9]+)?$/;

/** A frontend may be behind either; the port of one is not shown there. */
const schemes = ["https", "http"];

/**
 * A host name as browsers send it in `Host`: anything else would never be
 * matched. In lower case; a port only where it is not the scheme's own. Or
 * `*.` and a domain of two labels or more: what a single one has below it
 * belongs to everybody.
 *
 * @throws DomainError INVALID_REQUEST
 */
export function toHostname(text: string): string {
  const hostname = text.toLowerCase();
  if (isWildcard(hostname) ? isDomainBelow(hostname.slice(2)) : isHostname(hostname)) return hostname;
  throw invalidField(
    "hostname",
    "must be a host name such as app.example.com, or *.apps.example.com for every one a label below, international ones as xn--, with a port only if it is neither 80 nor 443",
  );
}

/** Whether a frontend's host name stands for many hosts. */
function isWildcard(hostname: string): boolean {
  return hostname.startsWith("*.");
}

/**
 * The host name with a wildcard that a host is found by, if no frontend names
 * it exactly.
 *
 * @param host in lower case. A text without a label before its first dot is answered as it is.
 */
export function toWildcard(host: string): string {
  const dot = host.indexOf(".");
  return dot > 0 ? `*${host.slice(dot)}` : host;
}

/** Whether a host name is this machine's, which no request leaves: there is http good enough. */
export function isLoopback(hostname: string): boolean {
  return loopbackPattern.test(hostname);
}

function isHostname(hostname: string): boolean {
  return hostnamePattern.test(hostname) && schemes.every((scheme) => isShown(scheme, hostname));
}

function isDomainBelow(domain: string): boolean {
  return domain.includes(".") && isHostname(`x.${domain}`);
}

/** Not numbers that stand for an address, punycode that stands for nothing, a port beyond the last. */
function isShown(scheme: string, hostname: string): boolean {
  const url = `${scheme}://${hostname}`;
  return URL.canParse(url) && new URL(url).host === hostname;
}
