import type { VisitorHeaders } from "./ask.ts";

/** Header by which a proxy proves itself, in lower case: the one name of ours that a request may carry. */
export const proxyTokenHeader = "x-vestibule-proxy-token";

/** What is wrong with a visitor's headers whatever the policy says. */
export type HeaderFault = "FORGED_IDENTITY" | "UPGRADE_REFUSED";

const reserved = "x-vestibule-";

/**
 * The header lines of a visitor's request as the gate reads them, without the
 * proxy's token and HTTP/2's pseudo-headers.
 *
 * Refused are names of the gate's own, in any spelling that an app may take
 * for one, and every upgrade but to WebSocket: behind another no proxy sees
 * what goes through (CVE-2026-88008).
 *
 * @param lines names as sent and values by turns
 */
export function readVisitorHeaders(lines: readonly string[]): VisitorHeaders | HeaderFault {
  const headers: string[] = [];
  for (let at = 0; at < lines.length; at += 2) {
    const name = (lines[at] ?? "").toLowerCase();
    const value = lines[at + 1] ?? "";
    if (name.startsWith(":")) continue;
    // Most are told apart by a letter: folding keeps each where it is.
    if (name[2] === "v" && name[0] === "x" && isReserved(name)) {
      if (name === proxyTokenHeader) continue;
      return "FORGED_IDENTITY";
    }
    if (name === "upgrade" && value.toLowerCase() !== "websocket") return "UPGRADE_REFUSED";
    headers.push(name, value);
  }
  return headers;
}

function isReserved(lowerCased: string): boolean {
  return lowerCased.startsWith(reserved) || foldName(lowerCased).startsWith(reserved);
}

/**
 * The one name of all those that an app may take for each other: CGI, WSGI and
 * others tell apart neither `_`, `.` and `-` nor, some of them, any other sign
 * (RFC 3875 §4.1.18).
 */
export function foldName(lowerCased: string): string {
  return lowerCased.replace(/[^a-z0-9]/g, "-");
}

/** The value of a header that has exactly one line; undefined for none and for several. @param name in lower case */
export function findOnlyLine(lines: readonly string[], name: string): string | undefined {
  let found: string | undefined;
  for (let at = 0; at < lines.length; at += 2) {
    const each = lines[at];
    if (each?.length !== name.length || each.toLowerCase() !== name) continue;
    if (found !== undefined) return undefined;
    found = lines[at + 1];
  }
  return found;
}

/** Every value of a header, joined as HTTP allows (RFC 9110 §5.3); undefined for none. @param name in lower case */
export function findJoinedLines(
  lines: readonly string[],
  name: string,
  separator = ", ",
): string | undefined {
  let joined: string | undefined;
  for (let at = 0; at < lines.length; at += 2) {
    const each = lines[at];
    if (each?.length !== name.length || each.toLowerCase() !== name) continue;
    const value = lines[at + 1] ?? "";
    joined = joined === undefined ? value : joined + separator + value;
  }
  return joined;
}
