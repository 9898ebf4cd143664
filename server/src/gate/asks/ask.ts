/**
 * What a proxy asks of the gate, whatever its dialect: may this request come
 * in, and as whom?
 *
 * A dialect makes an ask of what its proxy sends, by the strict grammar beside
 * this file, once the proxy has proven itself. From here on nobody looks at
 * the proxy's own request again: its query, method, host and body mean nothing.
 */

/** A visitor's request as the proxy describes it. */
export interface GateAsk {
  /** Id of the frontdoor in lower case, from the route or the proxy's own configuration, never from the visitor. */
  readonly frontdoorId: string;
  /** The visitor's host in lower case, without the port that its scheme has by itself. */
  readonly host: string;
  /** A token (RFC 9110 §9.1), as sent. */
  readonly method: string;
  /** Path and query, as sent; begins with a slash, visible ASCII. */
  readonly target: string;
  /** `target` up to the first `?`. */
  readonly path: string;
  readonly headers: VisitorHeaders;
  /** Address of the visitor: the rightmost hop that is not one of the proxies'. */
  readonly clientAddress: string;
  readonly requestId: string;
  readonly userAgent: string;
  /** Stands for the proxy's connection that it came by, where that is known. */
  readonly connection?: object | undefined;
}

/** The visitor's header fields: names in lower case and values by turns, each line as a pair of its own. */
export type VisitorHeaders = readonly string[];

/** Every value of a header, a line each, in the order they came. @param name in lower case */
export function findLines(headers: VisitorHeaders, name: string): readonly string[] {
  const found: string[] = [];
  for (let at = 0; at < headers.length; at += 2) {
    if (headers[at] === name) found.push(headers[at + 1] ?? "");
  }
  return found;
}
