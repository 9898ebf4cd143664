import { findLines, type GateAsk } from "./ask.ts";

/**
 * Whether somebody opens a page, and can be shown one: not what a page loads,
 * frames or asks for by script, which would take it for an answer of the app.
 *
 * @see https://www.w3.org/TR/fetch-metadata/
 */
export function isNavigation({ method, headers }: Pick<GateAsk, "method" | "headers">): boolean {
  if (method !== "GET" && method !== "HEAD") return false;
  if (findLines(headers, "sec-websocket-key").length > 0) return false;
  const [mode] = findLines(headers, "sec-fetch-mode");
  const [destination = "document"] = findLines(headers, "sec-fetch-dest");
  if (destination !== "document") return false;
  // Browsers that say nothing of the kind ask for HTML first.
  return mode === undefined
    ? /^\s*text\/html\b/i.test(findLines(headers, "accept")[0] ?? "")
    : mode === "navigate";
}

/** Whether a browser sent it, as far as it says: by `Origin`, or by any `Sec-Fetch-…`. */
export function isFromBrowser({ headers }: Pick<GateAsk, "headers">): boolean {
  for (let at = 0; at < headers.length; at += 2) {
    if (headers[at] === "origin" || headers[at]?.startsWith("sec-fetch-")) return true;
  }
  return false;
}
