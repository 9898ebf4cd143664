/**
 * Makes an ask of what a proxy says of a visitor's request, or says why it
 * cannot be one.
 *
 * The grammar is narrower than HTTP's: whatever a proxy, this gate and an app
 * might read differently is no ask. Nothing is parsed as a URL, decoded or
 * normalised (`https://a@b/` has no host `b` here).
 */
import type { GateAsk } from "./ask.ts";
import { type HeaderFault, readVisitorHeaders } from "./visitor-headers.ts";

/** The line of a visitor's request in a proxy's words, unread. */
export interface RequestLine {
  /** What the visitor came by, where the proxy says so: without it no port is taken for the usual one. */
  readonly scheme?: string | undefined;
  /** With or without a port. */
  readonly host: string;
  readonly method: string;
  /** Path and query. */
  readonly target: string;
}

/** What a proxy says of a visitor's request. */
export interface DescribedRequest
  extends RequestLine,
    Pick<GateAsk, "frontdoorId" | "clientAddress" | "requestId" | "userAgent" | "connection"> {
  /** Names as sent and values by turns, a line each. */
  readonly lines: readonly string[];
}

/** Why there is no ask. */
export type AskFault = "MALFORMED_ASK" | "METHOD_REFUSED" | HeaderFault;

/** The port that a scheme has by itself. Proxies say `ws` and `wss` of an upgrade. */
const defaultPorts: ReadonlyMap<string, string> = new Map([
  ["https", ":443"],
  ["wss", ":443"],
  ["http", ":80"],
  ["ws", ":80"],
]);

const hostPattern = /^[A-Za-z0-9.-]{1,253}(?::[1-9][0-9]{0,4})?$/;

/** Visible ASCII without `#`, where proxies disagree on what follows, and `\`, which some read as a slash. */
const targetPattern = /^\/[\x21\x22\x24-\x5b\x5d-\x7e]*$/;

/** RFC 9110 §5.6.2; far longer than any that is registered. */
const methodPattern = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/;

/** Methods that are not about a resource: the one opens a tunnel, the other answers with the credentials in it. */
const refusedMethods = /^(?:connect|trace)$/i;

/** @see the head of this file */
export function readAsk(described: DescribedRequest): GateAsk | AskFault {
  const { method, target, frontdoorId, clientAddress, requestId, userAgent, connection } = described;
  const host = readHost(described);
  if (host === undefined || !targetPattern.test(target)) return "MALFORMED_ASK";
  if (!methodPattern.test(method) || refusedMethods.test(method)) return "METHOD_REFUSED";
  const headers = readVisitorHeaders(described.lines);
  if (typeof headers === "string") return headers;
  const mark = target.indexOf("?");
  const path = mark < 0 ? target : target.slice(0, mark);
  return {
    frontdoorId,
    host,
    method,
    target,
    path,
    headers,
    clientAddress,
    requestId,
    userAgent,
    connection,
  };
}

/** The visitor's host in lower case, without the port that its scheme has by itself; undefined for what is none. */
export function readHost({ scheme, host }: Pick<RequestLine, "scheme" | "host">): string | undefined {
  const defaultPort = scheme === undefined ? undefined : defaultPorts.get(scheme);
  if (scheme !== undefined && defaultPort === undefined) return undefined;
  // As sent: some letters that are none of ASCII become such in lower case.
  if (!hostPattern.test(host)) return undefined;
  const lowerCased = host.toLowerCase();
  const hasDefaultPort = defaultPort !== undefined && lowerCased.endsWith(defaultPort);
  return hasDefaultPort ? lowerCased.slice(0, -defaultPort.length) : lowerCased;
}
