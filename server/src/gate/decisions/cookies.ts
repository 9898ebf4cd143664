/** This service's cookies on a visitor's request: found for judging, taken out for the upstream. */
import { visitCookies } from "../../http/node-http.ts";
import { companionCookieName, sessionCookieName } from "../../principals/presented.ts";
import { findLines, type VisitorHeaders } from "../asks/ask.ts";
import { gateFlowCookies, gateSessionCookies } from "../directory/frontend.ts";

/** Cookies that are this service's own by their names; `sid` may be anybody's. */
const ownNames: readonly string[] = [
  ...Object.values(gateSessionCookies),
  ...Object.values(gateFlowCookies),
  companionCookieName,
];

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
    visitCookies(line, (start, end) => {
      if (isOwn(line, start, end, isOwnSession)) {
        isLess = true;
      } else {
        const pair = line.slice(start, end).trimEnd();
        rest = rest === "" ? pair : `${rest}; ${pair}`;
      }
    });
  }
  return isLess ? rest : undefined;
}

/** Names are compared where they stand: to cut each out would cost more. */
function isOwn(line: string, start: number, end: number, isOwnSession: (value: string) => boolean): boolean {
  const equals = line.indexOf("=", start);
  if (equals < 0 || equals >= end) return false;
  const isNamed = (name: string) => name.length === equals - start && line.startsWith(name, start);
  if (ownNames.some(isNamed)) return true;
  return isNamed(sessionCookieName) && isOwnSession(line.slice(equals + 1, end).trimEnd());
}
