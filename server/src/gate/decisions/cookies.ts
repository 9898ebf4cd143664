/** This service's cookies on a visitor's request: found for judging, taken out for the upstream. */
import { splitCookies } from "../../http/node-http.ts";
import { companionCookieName, sessionCookieName } from "../../principals/presented.ts";
import { findLines, type VisitorHeaders } from "../asks/ask.ts";
import { gateFlowCookies, gateSessionCookies } from "../directory/frontend.ts";

/** Cookies that are this service's own by their names; `sid` may be anybody's. */
const ownNames: ReadonlySet<string> = new Set([
  ...Object.values(gateSessionCookies),
  ...Object.values(gateFlowCookies),
  companionCookieName,
]);

/**
 * `Cookie` for the upstream, without this service's own; undefined when there
 * is none of these to take out.
 *
 * @param isOwnSession whether a value of `sid` was made by this service
 */
export function stripOwnCookies(
  headers: VisitorHeaders,
  isOwnSession: (value: string) => boolean,
): string | undefined {
  return mayHoldOwn(headers) ? strip(headers, isOwnSession) : undefined;
}

/** Most requests carry none of ours: these are told by a look. */
function mayHoldOwn(headers: VisitorHeaders): boolean {
  for (let at = 0; at < headers.length; at += 2) {
    if (headers[at] !== "cookie") continue;
    const line = headers[at + 1] ?? "";
    if (line.includes("vestibule") || line.includes(`${sessionCookieName}=`)) return true;
  }
  return false;
}

function strip(headers: VisitorHeaders, isOwnSession: (value: string) => boolean): string | undefined {
  let rest = "";
  let isLess = false;
  for (const line of findLines(headers, "cookie")) {
    for (const pair of splitCookies(line)) {
      if (isOwn(pair, isOwnSession)) isLess = true;
      else rest = rest === "" ? pair : `${rest}; ${pair}`;
    }
  }
  return isLess ? rest : undefined;
}

function isOwn(pair: string, isOwnSession: (value: string) => boolean): boolean {
  const name = nameOf(pair);
  if (ownNames.has(name)) return true;
  return name === sessionCookieName && isOwnSession(pair.slice(name.length + 1));
}

function nameOf(pair: string): string {
  const equals = pair.indexOf("=");
  return equals < 0 ? "" : pair.slice(0, equals);
}
